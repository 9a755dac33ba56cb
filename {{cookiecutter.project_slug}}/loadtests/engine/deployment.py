"""A service of the load test's own, to be deployed under load: two processes, which a signal replaces."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SETTINGS = {"HOST": "127.0.0.1", "WEB_CONCURRENCY": "2", "DRAIN_SECONDS": "5"}
_START_SECONDS = 60
_STOP_SECONDS = 30


@contextmanager
def serving(module: str, directory: Path) -> Iterator[tuple[str, str]]:
    """Have `python -m module` serve while the block runs: the address, and the command that replaces the processes.

    On HUP gunicorn starts new processes and sends SIGTERM to the old ones, as a deployment does with its tasks.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with (directory / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", module, "serve"],
            env={**_SETTINGS, **os.environ, "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(service, address, directory)
            yield address, f"kill -HUP {service.pid}"
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(_STOP_SECONDS)


def _wait_for(service: subprocess.Popen[bytes], address: str, directory: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2):
                return
        except urllib.error.HTTPError as not_ready:
            not_ready.close()
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"loadtest: the service did not start: see {directory / 'service.log'}")
