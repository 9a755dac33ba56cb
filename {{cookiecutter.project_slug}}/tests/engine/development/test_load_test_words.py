"""A load test says first what keeps it from starting, and last what was not good enough."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from loadtests.engine.wording import percent
from tests.engine.kit.commands import PROJECT
from tests.engine.kit.load import load
from tests.engine.kit.running import HOST, free_port

ECHO = PROJECT / "loadtests" / "engine" / "scenarios" / "echo.py"
NOT_READY = {"status": "unavailable", "failed": {"database": "no answer", "broker": "not connected"}}


class Pretender:
    """Answers `/readyz`, and nothing else."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: Any = {"status": "ok", "failed": {}}
        pretender = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ready = self.path == "/readyz"
                content = json.dumps(pretender.answer).encode() if ready else b"{}"
                self.send_response(pretender.status if ready else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Nothing to say."""

        self._server = ThreadingHTTPServer((HOST, free_port()), Handler)
        self.url = f"http://{HOST}:{self._server.server_port}"
        threading.Thread(target=partial(self._server.serve_forever, poll_interval=0.01), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pretender() -> Iterator[Pretender]:
    pretender = Pretender()
    yield pretender
    pretender.stop()


async def test_where_nobody_answers_it_says_what_to_do(tmp_path: Path) -> None:
    url = f"http://{HOST}:{free_port()}"
    run = await load(tmp_path, ECHO, "--host", url)
    assert run.code == 1
    assert run.output.splitlines() == [
        f"loadtest: nothing answers at {url}: start it (make run), or say where it is (make loadtest URL=http://…)"
    ]


async def test_what_is_not_ready_is_said_in_one_line(tmp_path: Path, pretender: Pretender) -> None:
    pretender.status, pretender.answer = 503, NOT_READY
    run = await load(tmp_path, ECHO, "--host", pretender.url)
    assert run.code == 1
    assert run.output.splitlines() == [
        f"loadtest: {pretender.url} is not ready: database: no answer; broker: not connected"
    ]


async def test_what_was_not_good_enough_comes_last(tmp_path: Path, pretender: Pretender) -> None:
    options = ["--host", pretender.url, "--users", "3", "--spawn-rate", "3", "--run-time", "2s"]
    run = await load(tmp_path, ECHO, *options, http_proxy="http://127.0.0.1:9")
    assert run.code == 1
    assert run.breaches
    assert all(line.startswith("breach: ") for line in run.output.splitlines()[-len(run.breaches) :]), run.output
    assert any(breach.startswith("failures: 100 % of all measures") for breach in run.breaches)


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100 %"), (0.5, "50 %"), (1 / 3, "33.3 %"), (0.125, "12.5 %"), (0.0004, "0.04 %"), (1e-7, "0.00001 %")],
)
def test_a_share_is_written_as_one_would(share: float, text: str) -> None:
    assert percent(share) == text
