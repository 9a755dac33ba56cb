"""Measurements of the service, side by side with what a team would otherwise write or pick."""
