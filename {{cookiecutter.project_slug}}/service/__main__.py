"""The commands of this service: `python -m service --help`."""

import sys

from service.engine.application.commands import main

if __name__ == "__main__":
    sys.exit(main("service.app:application"))
