"""The same application on a server that knows nothing of the engine: `… plain_server serve`."""

import os
import signal
import sys

import uvicorn


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn stops, then raises the signal again
    uvicorn.run(
        "tests.engine.application.app:create_app",
        factory=True,
        host=os.environ["HOST"],
        port=int(os.environ["PORT"]),
        timeout_graceful_shutdown=1,
        log_config=None,
    )


if __name__ == "__main__":
    main()
