"""What an operator sees: commands, settings, logs, metrics, load tests."""
