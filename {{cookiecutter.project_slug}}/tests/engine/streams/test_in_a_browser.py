"""Streams in real Chromium: its own EventSource, and the client behind a proxy that lets no WebSocket through."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import websockets.sync.client

from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.postgres import Address
from tests.engine.kit.proxy import proxy_of
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.engine.kit.browser import Pages

pytestmark = pytest.mark.needs("chromium")

FOLLOW = """([stream, token]) => {
  window.seen = [];
  const address = `/api/streams/${stream}/events?token=${token}&after=0`;
  window.source = new EventSource(address);
  window.source.addEventListener("entry", ({ data, lastEventId }) => seen.push([JSON.parse(data).seq, lastEventId]));
}"""
CONNECT = """async ([streams, token]) => {
  const { connect } = await import("/client.js");
  window.seen = Object.fromEntries(streams.map((stream) => [stream, []]));
  window.live = connect({ token, backoff: 50 });
  for (const stream of streams) {
    live.subscribe(stream, { after: 0, onEvent: ({ stream, seq }) => seen[stream].push(seq) });
  }
}"""


def write(service: Service, room: int, count: int) -> None:
    with entering(service, room) as enter:
        for _ in range(count):
            enter()


@contextmanager
def entering(service: Service, room: int) -> Iterator[Callable[[], None]]:
    with websockets.sync.client.connect(
        f"{service.ws}/ws/rooms/{room}", additional_headers=bearer(1), proxy=None
    ) as socket:

        def enter() -> None:
            socket.send(json.dumps({"type": "new_entry", "body": "x"}))
            assert json.loads(socket.recv())["type"] == "entry_created"

        yield enter


def test_its_own_event_source_reads_a_stream_and_resumes_by_itself(
    start_service: StartService, postgres: Address, pages: "Pages"
) -> None:
    """After a crash: one that stops answers 503 for a moment, and whoever is told that does not come back by itself."""
    database = postgres.create_database()
    service = Service(database)
    pages.forgive("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
    page = pages.open(service)
    page.evaluate(FOLLOW, ["rooms/1", token(7)])
    write(service, 1, 3)
    page.wait_for_function("() => seen.length === 3")
    service.discard()
    start_service(database=database, PORT=str(service.port))
    write(service, 1, 2)
    page.wait_for_function("() => seen.length === 5")
    assert page.evaluate("seen") == [[seq, str(seq)] for seq in range(1, 6)]


def test_the_client_goes_on_by_server_sent_events_where_no_socket_gets_through(
    service: Service, pages: "Pages", number: Number
) -> None:
    rooms = [number(), number()]
    stop = threading.Event()

    def keep_writing(room: int) -> None:
        with entering(service, room) as enter:
            while not stop.wait(0.005):
                enter()

    writers = [threading.Thread(target=keep_writing, args=[room]) for room in rooms]
    with proxy_of(service) as proxy:
        page = pages.open(service, by=proxy.http)
        page.evaluate(CONNECT, [[f"rooms/{room}" for room in rooms], token(number())])
        for writer in writers:
            writer.start()
        try:
            for _ in range(2):
                proxy.allow("refuse")
                carried_by(page, "sse")
                proxy.allow("pass")
                carried_by(page, "socket")
        finally:
            stop.set()
            for writer in writers:
                writer.join()
        for room in rooms:
            last = service.database.value(f"select last_seq from streams where name = 'rooms/{room}'")
            page.wait_for_function(f"() => seen['rooms/{room}'].at(-1) === {last}")
            assert page.evaluate(f"seen['rooms/{room}']") == list(range(1, last + 1))


def carried_by(page: "Page", transport: str) -> None:
    """Wait until it is, and has carried something."""

    def is_carried() -> bool:
        page.evaluate("live.retry()")
        return bool(page.evaluate("live.transport") == transport)

    wait_until(is_carried, f"carried by {transport}", within=20)
    page.evaluate("window.before = Object.values(seen).map((found) => found.length)")
    page.wait_for_function("() => Object.values(seen).every((found, index) => found.length > before[index] + 10)")
