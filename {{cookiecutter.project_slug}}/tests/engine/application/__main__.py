"""The commands of the engine's tests' application."""

import sys

from service.engine.application.commands import main

if __name__ == "__main__":
    sys.exit(main("tests.engine.application.app:application"))
