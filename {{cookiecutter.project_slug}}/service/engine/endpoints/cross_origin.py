"""CORS, for the pages of exactly those origins that may connect: https://fetch.spec.whatwg.org/#http-cors-protocol

Starlette's own answers the preflights of any origin, and takes patterns as regular expressions only.
"""

from collections.abc import Awaitable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine.auth.handshake import is_allowed

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    # `*` is not for Authorization, and older browsers do not know it.
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, *",
    "Access-Control-Max-Age": "7200",  # no browser but Firefox remembers it for longer
}


class CrossOrigin:
    """ASGI middleware that lets pages of the allowed origins ask, and read every answer; without cookies.

    A path that does not exist has its preflight allowed too: the page is to see the 404.
    """

    def __init__(self, app: ASGIApp, *, allowed: tuple[str, ...]) -> None:
        self._app = app
        self._allowed = allowed

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":  # what refuses a handshake, no page may read anyway
            return self._app(scope, receive, send)
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        granted = _granted_to(origins[0]) if len(origins) == 1 and is_allowed(origins[0], self._allowed) else {}

        async def add_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("Origin")
                answer.update(granted)
            await send(message)

        is_preflight = granted and scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        app = Response(status_code=204, headers=_PREFLIGHT) if is_preflight else self._app
        return app(scope, receive, add_headers)


def _granted_to(origin: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "Retry-After, *",
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
