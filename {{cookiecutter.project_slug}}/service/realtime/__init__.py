"""The engine: connections, their life and their limits, and events from the database to every subscriber."""
