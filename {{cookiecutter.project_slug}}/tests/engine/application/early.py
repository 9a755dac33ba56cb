"""The same application, imported before the command that starts it: `… tests.engine.application.early serve`."""

import sys

from service.engine.application.commands import main
from tests.engine.application import app

if __name__ == "__main__":
    sys.exit(main(f"{app.__name__}:application"))
