"""The service with streams that are not declared to take signals, or to show who is there."""

import sys

from service.comments import COMMENTS
from service.engine.application.commands import main
from service.notifications import NOTIFICATIONS

for stream in (COMMENTS, NOTIFICATIONS):
    stream.signals = stream.presence = False

if __name__ == "__main__":
    sys.exit(main("service.app:application"))
