"""What every request and answer goes through: exact paths, a limit on bodies, headers that browsers obey.

WebSockets pass through functions that are no coroutines, whose frames each connection would keep.
"""

from collections.abc import Awaitable

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_HSTS = "max-age=31536000"
_ANSWERS = {"http.response.start", "websocket.http.response.start"}


class SafeHeaders:
    """ASGI middleware that adds security headers which an answer, or a refused handshake, does not bring itself."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = {**_HEADERS, "Strict-Transport-Security": _HSTS} if https else _HEADERS

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        async def add_headers(message: Message) -> None:
            if message["type"] in _ANSWERS:
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        return self._app(scope, receive, add_headers)


class ExactPaths:
    """ASGI middleware that gives paths which end in a line break to `not_found`.

    Starlette's patterns end with `$`, which also matches before a last line break: `/docs%0A` would be `/docs`.
    """

    def __init__(self, app: ASGIApp, *, not_found: ASGIApp) -> None:
        self._app = app
        self._not_found = not_found

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._not_found if scope.get("path", "").endswith("\n") else self._app
        return app(scope, receive, send)


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
