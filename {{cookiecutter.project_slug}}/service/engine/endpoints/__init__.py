"""The ways in: how endpoints are declared, what they may ask for, and the ones that every service has."""
