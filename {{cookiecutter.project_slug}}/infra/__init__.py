"""What this service runs on."""
