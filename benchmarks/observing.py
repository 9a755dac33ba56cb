"""What traces and error reports cost the service, beside neither: `make benchmarks ARGS=--observing`."""

import statistics
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.engine.kit.postgres import Cluster
from tests.engine.kit.running import HOST

from benchmarks.measure import SERVER_CORES, Client, Figures, answers, fan_out, handshakes
from benchmarks.servers import Ours

_SUBSCRIBERS = 100
_SHOWN = ("handshake", "echo", "json", "publish", "delivery")


class _Sink(BaseHTTPRequestHandler):
    """Takes what it is sent, and forgets it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def observing(cluster: Cluster, runs: int, seconds: float) -> Iterator[str]:
    """A line for each way to observe, the median of all runs in µs of CPU."""
    with _sink() as port:
        traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{port}"}
        ways: Mapping[str, dict[str, str]] = {
            "neither": {},
            "traces, of everything": traces,
            "traces, of one connection in a hundred": traces
            | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            "error reports": {"SENTRY_DSN": f"http://public@{HOST}:{port}/1"},
        }
        found: dict[str, list[Figures]] = {way: [] for way in ways}
        for _ in range(runs):
            for way, settings in ways.items():
                found[way].append(_measured(Ours(cluster, settings=settings), seconds))
    for way, figures in found.items():
        medians = (f"{name} {statistics.median(each[name] for each in figures):.1f}" for name in _SHOWN)
        yield f"{way:<40} {'  '.join(medians)}"


def _measured(server: Ours, seconds: float) -> Figures:
    running = server.start(SERVER_CORES)
    client = Client(running, server.dialect)
    try:
        return {
            **handshakes(client, running, server.dialect),
            **answers(client, server.dialect, "echo", seconds),
            **answers(client, server.dialect, "json", seconds),
            **fan_out(client, server.dialect, seconds, _SUBSCRIBERS),
        }
    finally:
        client.end()
        running.stop()


@contextmanager
def _sink() -> Iterator[int]:
    server = ThreadingHTTPServer((HOST, 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
