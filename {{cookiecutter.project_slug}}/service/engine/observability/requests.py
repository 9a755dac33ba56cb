"""One log line and one measurement for each HTTP request, and on every line of whatever a client did its address."""

from collections.abc import Awaitable
from time import perf_counter

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine.endpoints.http import whence
from service.engine.foundation.metrics import Metrics

_LONGEST_CLIENT = 64
_FREQUENT = {"/healthz", "/readyz", "/metrics"}

_logger = structlog.get_logger(__name__)


def name_client(scope: Scope) -> None:
    """Have every line say whose it is: as far as FORWARDED_ALLOW_IPS is trusted, of whom before the proxies."""
    if client := scope.get("client"):
        structlog.contextvars.bind_contextvars(client=client[0][:_LONGEST_CLIENT])


class RequestLog:
    """ASGI middleware; WebSockets pass untouched."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        name_client(scope)
        return (self._logged if scope["type"] == "http" else self._app)(scope, receive, send)

    async def _logged(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            seconds = perf_counter() - start
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.http_requests.labels(scope["method"], route, status).observe(seconds)
            log = _logger.debug if scope["path"] in _FREQUENT else _logger.info
            path, others = whence(scope)
            if status < 400:
                others = {}
            log("request", method=scope["method"], path=path, status=status, ms=round(seconds * 1000, 1), **others)
