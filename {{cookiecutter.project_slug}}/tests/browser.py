"""Real headless Chromium, as people have it, that tells what a page complains about or fetches from elsewhere."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from tests.conftest import find_program

FLAGS = ["--disable-gpu", "--disable-quic", "--disable-background-networking"]
PATIENCE = 15_000
CONNECTION_LOST = (
    "net::ERR_CONNECTION",
    "net::ERR_EMPTY_RESPONSE",
    "net::ERR_SOCKET_NOT_CONNECTED",
    "status of 503",
    "WebSocket connection to",
)
"""What a browser itself says of a server that is gone; no page can keep it from that."""


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


class User:
    """One of the two users of the demo page."""

    def __init__(self, page: Page, number: int) -> None:
        self.root: Locator = page.locator(".user").nth(number - 1)

    @property
    def comments(self) -> list[str]:
        return self.root.locator(".comments li").all_inner_texts()

    def write(self, body: str) -> None:
        self.root.get_by_label("Comment", exact=True).fill(body)
        self.root.get_by_role("button", name="Send", exact=True).click()

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    @property
    def state(self) -> str | None:
        return self.root.get_attribute("data-state")

    @property
    def wire(self) -> str:
        return self.root.locator(".wire").text_content() or ""

    def wait_for_problem(self, text: str) -> None:
        self.root.get_by_role("alert").get_by_text(text).wait_for()

    def wait_for_frame(self, text: str) -> None:
        self.root.locator(".wire").get_by_text(text).first.wait_for()

    def use_token(self, value: str) -> None:
        self.press("Change the token")
        self.root.get_by_label("Token").fill(value)
        self.press("Use")

    def wait_for_state(self, name: str, within: float = 15) -> None:
        self.root.and_(self.root.page.locator(f"[data-state={name}]")).wait_for(timeout=within * 1000)

    def wait_for_unconfirmed(self, count: int) -> None:
        expect(self.root.locator(".unconfirmed")).to_have_count(count, timeout=PATIENCE)

    def wait_for_comments(self, *expected: str) -> None:
        """Wait until the list is exactly this."""
        script = (
            "([node, texts]) => JSON.stringify([...node.children].map((i) => i.innerText)) === JSON.stringify(texts)"
        )
        handle = self.root.locator(".comments ol").element_handle()
        try:
            self.root.page.wait_for_function(script, arg=[handle, list(expected)])
        except Exception as late:
            raise AssertionError(f"{self.comments} is not {list(expected)}") from late
