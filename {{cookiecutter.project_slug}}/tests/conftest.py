"""What your tests may ask for: the fixtures listed in `tests/engine/kit/plugin.py`, and yours."""

pytest_plugins = ["tests.engine.kit.plugin"]
