"""Load on the application: `python -m loadtests tests/engine/application/scenarios/rooms.py`."""
