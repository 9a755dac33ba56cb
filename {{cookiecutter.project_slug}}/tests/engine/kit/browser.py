"""Real headless Chromium, as people have it, that tells what a page complains about or fetches from elsewhere."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from tests.engine.kit.programs import find_program
from tests.engine.kit.running import Service

NOBODY_WATCHES = ("SpareRendererForSitePerProcess", "WebUIOmniboxAimPopup", "WebUIOmniboxPopup")
"""What each window gets ready for a person: more than half the CPU of a page.

A browser ignores names that it does not know. Of several lists it takes the last: Playwright's own is not in force.
"""
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    f"--disable-features={','.join(NOBODY_WATCHES)}",
]
PATIENCE = 15_000
CONNECTION_LOST = (
    "net::ERR_CONNECTION",
    "net::ERR_NETWORK_CHANGED",
    "net::ERR_EMPTY_RESPONSE",
    "net::ERR_SOCKET_NOT_CONNECTED",
    "status of 503",
    "WebSocket connection to",
)
"""What a browser itself says of a server that is gone, or a network; no page can keep it from that."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser of this machine."""
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else FLAGS
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_program("chromium"), args=flags)
        yield browser
        browser.close()


class Watch:
    """What went wrong on the pages it watches: errors, violations of the policy, requests to other hosts."""

    def __init__(self, origin: str) -> None:
        self.complaints: list[str] = []
        self._origin = origin

    def over(self, page: Page) -> Page:
        page.set_default_timeout(PATIENCE)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("websocket", lambda socket: self._address(socket.url.replace("ws://", "http://", 1)))
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(lost in message.text for lost in CONNECTION_LOST):
            self.complaints.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        self._address(request.url)

    def _address(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/", "data:")):
            self.complaints.append(f"outside: {url}")


class Pages:
    """Opens pages of a service, each in a profile of its own, and looks after them."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._watches: list[Watch] = []
        self._forgiven: list[str] = []

    def open(self, service: Service, path: str = "/", *, by: str | None = None) -> Page:
        """`by`: the address of a proxy in front of the service."""
        address = by or service.http
        self._watches.append(Watch(address))
        page = self._watches[-1].over(self._browser.new_context().new_page())
        page.goto(address + path)
        return page

    def forgive(self, text: str) -> None:
        """Complaints with this text are what the test is about."""
        self._forgiven.append(text)

    def close(self) -> None:
        """Close all of them: no error, no violation of the policy, no request to anywhere else."""
        for context in self._browser.contexts:
            context.close()
        complaints = [complaint for watch in self._watches for complaint in watch.complaints]
        unforgiven = [text for text in complaints if not any(part in text for part in self._forgiven)]
        assert not unforgiven, unforgiven
