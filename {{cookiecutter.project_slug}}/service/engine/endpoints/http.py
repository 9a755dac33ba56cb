"""What every request and answer goes through: well-formed requests, a limit on bodies, headers that browsers obey.

Handshakes go another way where they can (`application.handshakes`), and have no use for most of it.
"""

import re
from collections.abc import Awaitable
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine.process.connections import Connections

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HSTS = "max-age=31536000"
_ANSWERS = {"http.response.start", "websocket.http.response.start"}
_HOST = re.compile(rb"([\w.~!$&'()*+;=%-]*|\[[0-9A-Fa-f:.]+\])(:\d*)?")
"""RFC 9110 §7.2, without the commas that it would allow: they are how proxies join two headers to one."""
_LONGEST = 256


def whence(scope: Scope) -> tuple[str, dict[str, str]]:
    """The path of a request, without its query, which may hold a token; and the host and the origin that it names."""
    headers = Headers(scope=scope)
    names = {name: headers[name][:_LONGEST] for name in ("host", "origin") if name in headers}
    return scope["path"][:_LONGEST], names


class SafeHeaders:
    """ASGI middleware that adds security headers which an answer, or a refused handshake, does not bring itself."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {**_HEADERS, "Strict-Transport-Security": _HSTS} if https else _HEADERS

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self._app(scope, receive, self.adding(send))

    def adding(self, send: Send) -> Send:
        """`send`, of answers with the headers."""

        async def add_headers(message: Message) -> None:
            if message["type"] in _ANSWERS:
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return add_headers


class WellFormed:
    """ASGI middleware that gives requests whose Host is not one to `bad_request`, whose path is none to `not_found`.

    No path ends in a line break. Starlette's patterns end with `$`, which also matches before one: `/docs%0A` would be
    `/docs`.
    """

    def __init__(self, app: ASGIApp, *, bad_request: ASGIApp, not_found: ASGIApp) -> None:
        self._app = app
        self._bad_request = bad_request
        self._not_found = not_found

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._app
        if scope["type"] != "lifespan":
            if not has_host(scope):
                app = self._bad_request
            elif scope["path"].endswith("\n"):
                app = self._not_found
        return app(scope, receive, send)


def has_host(scope: Scope) -> bool:
    """Whether a request names its host as RFC 9112 §3.2 has it."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) == 1:
        return _HOST.fullmatch(hosts[0]) is not None
    return not hosts and scope["http_version"] == "1.0"


class _EnoughError(Exception):
    """The head of an answer is all that was asked for, and the body may have no end."""


class HeadAsGet:
    """ASGI middleware that answers HEAD wherever GET is answered (RFC 9110 §9.1), and does not wait for the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._head if scope["type"] == "http" and scope["method"] == "HEAD" else self._app
        return app(scope, receive, send)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body"})
            elif message.get("more_body"):
                raise _EnoughError

        shown = [header for header in scope["headers"] if header[0] != b"upgrade"]  # RFC 6455 §4.1: GET alone may ask
        as_get = {**scope, "method": "GET", "headers": shown}
        try:
            with suppress(_EnoughError):
                await self._app(as_get, receive, send_head)
        finally:
            scope["route"] = as_get.get("route")


class LastAnswers:
    """ASGI middleware that lets no connection be kept to a process that stops: the next request would come too late."""

    def __init__(self, app: ASGIApp, *, connections: Connections) -> None:
        self._app = app
        self._connections = connections

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or not self._connections.draining or not scope["http_version"].startswith("1."):
            return self._app(scope, receive, send)

        async def add_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Connection", "close")
            await send(message)

        return self._app(scope, receive, add_header)


class BodyLimit:
    """ASGI middleware that refuses bodies over `most` bytes, announced or not."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        received = 0

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most:
                raise HTTPException(413)  # FastAPI lets no other exception through while it reads a body
            return message

        return self._app(scope, count, send)
