"""Scenarios that every service can run; one in `loadtests/scenarios` takes the place of the one of its name here."""
