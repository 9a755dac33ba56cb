"""From an application's declaration to running processes: commands, server, development."""
