"""The first command of the README, on every Python: from a clone to a first message."""

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.bakery import copy_template
from tests.making import free_port, running, wait_for
from tests.pythons import BETWEEN, interpreter

pytestmark = [pytest.mark.needs("git"), pytest.mark.needs("make")]


@pytest.mark.parametrize("version", ["3", *BETWEEN])
def test_make_demo_leads_from_a_clone_to_the_first_pong(place: Path, version: str) -> None:
    settings = {"PYTHON": interpreter(version)} if version in BETWEEN else {}
    if version == BETWEEN[0]:
        settings |= {"UV_NO_CACHE": "1", "UV_OFFLINE": "1"}  # so that pip has to do it
    clone = copy_template(place / "clone")
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    port, log = free_port(), place / "demo.log"
    settings |= {"HOST": "127.0.0.1", "PORT": str(port), "PYTHONWARNINGS": "default"}
    with running(clone, "demo", log, **settings) as demo:
        token = wait_for(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", log, demo)
        wait_for(rf"Page +http://[\w.]+:{port}/", log, demo)
        wait_for("Listening at", log, demo)
        with connect(f"ws://127.0.0.1:{port}/ws/ping?token={token}", open_timeout=30) as client:
            client.send(json.dumps({"type": "ping"}))
            assert json.loads(client.recv(timeout=10)) == {"type": "pong"}
    complaints = re.findall(r"^.*(?:Traceback|Warning:).*$", log.read_text(), re.MULTILINE)
    assert [line for line in complaints if "/site-packages/pip/" not in line] == [], log.read_text()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
