"""A socket's first moment. A usual handshake is read by the link itself; whatever else comes is uvicorn's to read.

uvicorn's protocol would be a fourth of a handshake's work: it prepares for requests and answers that never come.
"""

import asyncio
from asyncio import TimerHandle, Transport
from time import monotonic
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from service.engine.link.handshake_head import usual_handshake
from service.engine.link.socket_link import SocketLink
from service.engine.link.upgrade import Server, serve
from service.engine.link.uvicorn_http import http_class
from service.engine.link.uvicorn_http_times import REQUEST_SECONDS

_LOOK_SECONDS = 0.25
"""However many there are, they are looked at no more often."""


class Arrivals:
    """Makes the protocol of each socket, and knows those that have said nothing yet. Passed to uvicorn as `http`."""

    def __init__(self, link_class: type[SocketLink]) -> None:
        self._http_class = http_class(link_class)
        self._link_class: type[SocketLink] = type(
            "ConfiguredArrival", (_Arrival, link_class), {"arrivals": self, "__slots__": ()}
        )
        self.waiting: dict[SocketLink, float] = {}
        """Until when."""
        self._server: Server | None = None
        self._timer: TimerHandle | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> SocketLink:
        if self._server is None:
            self._server = Server(config, server_state, app_state, _loop or asyncio.get_running_loop())
        return self._link_class(self._server.loop, server_state.connections)

    def expect(self, link: SocketLink) -> None:
        """Give a socket its time to ask. One timer is for all: nearly nobody needs it."""
        self.waiting[link] = monotonic() + REQUEST_SECONDS
        if self._timer is None:
            self._timer = link.loop.call_later(REQUEST_SECONDS, self._look, link.loop)

    def received(self, link: SocketLink, data: bytes) -> None:
        """The first bytes have come: go on with the link, or with uvicorn in its place."""
        assert self._server is not None
        if handshake := usual_handshake(data):
            serve(self._server, link, handshake)
            return
        transport = link.transport
        self._server.state.connections.discard(link)
        http = self._http_class(*self._server)
        transport.set_protocol(http)
        http.connection_made(transport)
        http.data_received(data)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for link in [link for link, until in self.waiting.items() if until <= now]:
            del self.waiting[link]
            link.abort()
        next_look = max(min(self.waiting.values(), default=0.0) - now, _LOOK_SECONDS)
        self._timer = loop.call_later(next_look, self._look, loop) if self.waiting else None


class _Arrival(SocketLink):
    """A link whose client may turn out to want something else."""

    arrivals: Arrivals

    __slots__ = ()

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.arrivals.expect(self)

    def data_received(self, data: bytes) -> None:
        if self._reader is not None:
            self._read(data)
        elif self.arrivals.waiting.pop(self, None):
            self.arrivals.received(self, data)
        else:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.arrivals.waiting.pop(self, None)
        super().connection_lost(exc)
