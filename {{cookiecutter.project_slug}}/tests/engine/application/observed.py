"""The command that starts the application of `around`: `… tests.engine.application.observed serve`."""

import sys

from service.engine.application.commands import main
from tests.engine.application import around

if __name__ == "__main__":
    sys.exit(main(f"{around.__name__}:application"))
