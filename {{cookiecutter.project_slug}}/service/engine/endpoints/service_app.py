"""The ASGI application of a process."""

from typing import cast

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.engine.process.readiness import Readiness
from service.engine.process.runtime import Runtime


class ServiceApp(FastAPI):
    """A FastAPI whose handshakes of WebSockets go to `handshakes`, past what is for requests."""

    runtime: Runtime
    readiness: Readiness
    handshakes: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await super().__call__(scope, receive, send)
        else:
            scope["app"] = self
            await self.handshakes(scope, receive, send)

    async def usual(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own way."""
        await super().__call__(scope, receive, send)


def app_of(connection: HTTPConnection) -> ServiceApp:
    """The application that a request or handshake came to."""
    return cast(ServiceApp, connection.app)


def runtime_of(connection: HTTPConnection) -> Runtime:
    """The runtime of the process that a request or handshake came to."""
    return app_of(connection).runtime
