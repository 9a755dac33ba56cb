"""The command: `python -m loadtests --help`."""

import sys

from loadtests.engine.command import main

if __name__ == "__main__":
    sys.exit(main())
