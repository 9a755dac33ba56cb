"""A page of another origin, in a real browser, on all that it needs: the client, a ticket, the socket, the history."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.running import HOST, Service, free_port
from tests.engine.kit.tokens import token

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.needs("chromium")

PAGE = """<!doctype html><title>elsewhere</title><script type="module">
import { connect, historyOf } from "%(service)s/client.js";
const received = [];
window.connection = connect({
  url: "%(service)s/ws/rooms/%(room)d",
  token: "%(token)s",
  after: 0,
  history: historyOf("%(service)s/api/rooms/%(room)d/entries", "entries", "entry"),
  onMessage: (message) => { received.push(message.seq); document.body.dataset.count = received.length; },
  onState: (state) => { document.body.dataset.state = state.name; },
});
</script><body data-state="no client" data-count="0">"""
STORED = 1500


@contextmanager
def front_end(port: int, page: str) -> Iterator[None]:
    """Another site: one page."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 404)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode() if self.path == "/" else b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
            pass

    with ThreadingHTTPServer((HOST, port), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def listing(shared_service: StartService, port: int) -> Service:
    return shared_service(ALLOWED_ORIGINS=f"http://localhost:{port}")


@contextmanager
def opened(browser: "Browser", address: str) -> Iterator["Page"]:
    page = browser.new_page()
    page.set_default_timeout(15_000)
    page.goto(address)
    yield page
    page.close()


def missed(service: Service, room: int) -> None:
    """More than a connection is sent: the client has to fetch it."""
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', {STORED})")
    service.database.execute(
        "insert into entries (room_id, seq, author_id, body, created_at)"
        f" select {room}, n, '7', 'entry ' || n, now() from generate_series(1, {STORED}) n"
    )


def test_a_page_of_a_listed_origin_gets_everything(listing: Service, browser: "Browser", port: int, room: int) -> None:
    missed(listing, room)
    page = PAGE % {"service": listing.http, "room": room, "token": token(7)}
    with front_end(port, page), opened(browser, f"http://localhost:{port}/") as shown:
        shown.locator(f"body[data-state=live][data-count='{STORED}']").wait_for(state="attached")
        entry = shown.evaluate("connection.deliver({ type: 'new_entry', body: 'from elsewhere' })")
        assert (entry["type"], entry["seq"]) == ("entry_created", STORED + 1)


def test_a_page_of_any_other_gets_nothing(listing: Service, browser: "Browser", port: int, room: int) -> None:
    """Not the client, and if it brings one of its own, neither a ticket nor the history nor the socket."""
    page = PAGE % {"service": listing.http, "room": room, "token": token(7)}
    headers = f"{{ headers: {{ Authorization: 'Bearer {token(7)}' }} }}"
    with front_end(port, page), opened(browser, f"http://{HOST}:{port}/") as shown:
        assert shown.locator("body").get_attribute("data-state") == "no client"
        for asked in (
            f"fetch('{listing.http}/client.js')",
            f"fetch('{listing.http}/api/tickets', {{ method: 'POST', ...{headers} }})",
            f"fetch('{listing.http}/api/rooms/{room}/entries', {headers})",
            f"import('{listing.http}/client.js')",
        ):
            assert shown.evaluate(f"{asked}.then(() => 'read', () => 'refused')") == "refused", asked
        socket = f"new WebSocket('{listing.ws}/ws/rooms/{room}?token={token(7)}')"
        outcome = (
            f"new Promise((done) => {{ const s = {socket}; s.onopen = () => done(1); s.onerror = () => done(0); }})"
        )
        assert shown.evaluate(outcome) == 0


def test_a_preflight_is_asked_once(listing: Service, browser: "Browser", port: int, room: int) -> None:
    path = f"/api/rooms/{room}/entries"
    fetch = (
        f"fetch('{listing.http}{path}', {{ headers: {{ Authorization: 'Bearer {token(7)}' }} }}).then((a) => a.status)"
    )
    with (
        front_end(port, "<!doctype html><title>elsewhere</title>"),
        opened(browser, f"http://localhost:{port}/") as shown,
    ):
        assert [shown.evaluate(fetch) for _ in range(3)] == [200, 200, 200]
    methods = [line["method"] for line in listing.log_lines() if line.get("path") == path]
    assert methods.count("OPTIONS") == 1
