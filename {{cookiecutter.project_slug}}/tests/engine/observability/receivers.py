"""Receivers of traces (OTLP over HTTP) and of error reports (Sentry's envelopes), in the process of the tests."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.engine.kit.running import HOST

TRACES = "/v1/traces"
ENVELOPES = "/api/1/envelope/"


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Span:
    """One span, with its ids as `traceparent` has them, and of whom it is."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool


class Receiver:
    """Takes whatever it is sent, or while it `stalls` takes it and says nothing."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.stalls = False
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                receiver.received.append(Received(self.path, headers, _plain(body, headers.get("content-encoding"))))
                if receiver.stalls:
                    receiver.released.wait(30)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{HOST}:{self.server.server_port}"
        self.dsn = f"http://public@{HOST}:{self.server.server_port}/1"

    @property
    def spans(self) -> list[Span]:
        """Every span that has come."""
        return [span for request in self._sent_to(TRACES) for span in _spans(request.body)]

    def trace(self, id_: str) -> list[Span]:
        return [span for span in self.spans if span.trace == id_]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """Every error that has come."""
        return [event for request in self._sent_to(ENVELOPES) for event in _events(request.body)]

    def has(self, secret: str) -> bool:
        """Whether it was told of it, anywhere."""
        return any(secret.encode() in request.body for request in list(self.received))

    def _sent_to(self, path: str) -> list[Received]:
        return [request for request in list(self.received) if request.path == path]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver at work."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()


def _plain(body: bytes, encoding: str | None) -> bytes:
    match encoding:
        case "gzip":
            return gzip.decompress(body)
        case "br":
            import brotli  # type: ignore[import-untyped] # what sends it has it

            return bytes(brotli.decompress(body))
        case None:
            return body
        case _:
            raise ValueError(f"nobody can look for secrets in {encoding}")


def _spans(body: bytes) -> Iterator[Span]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(of_resource.resource.attributes)["service.name"]
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield Span(
                    service=service,
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    attributes=_attributes(span.attributes),
                    failed=span.status.code == 2,
                )


def _attributes(found: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found}


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    """The items of an envelope that are events (https://develop.sentry.dev/sdk/data-model/envelopes/)."""
    _, *lines = body.splitlines()
    for header, item in zip(lines[::2], lines[1::2], strict=False):
        if json.loads(header)["type"] == "event":
            yield json.loads(item)
