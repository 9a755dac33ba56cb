"""Plain HTTP on uvicorn, with a limit on how long a request may take to arrive and on what surrounds its body.

uvicorn's parser has neither, so anybody could fill the memory, by headers or by trailers, or hold a socket for ever,
without a token.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_AROUND_BODY = 65_536
"""Bytes of head, chunk sizes and trailers. The body itself is for `BodyLimit` to count."""
_REQUEST_SECONDS = 10.0


class BoundedHttpProtocol(HttpToolsProtocol):
    """Drops clients that do not come to the point."""

    _timer: TimerHandle | None = None
    """Runs while a request is expected or arriving."""
    _around_body = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_request()

    def on_body(self, body: bytes) -> None:
        self._around_body -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._request_is_complete()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        del self.parser  # it refers to us: without the cycle both go now, not when garbage is collected

    def connection_lost(self, exc: Exception | None) -> None:
        self._request_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._timer is not None:  # there is more to come
            self._around_body += len(data)
            if self._around_body > _MOST_AROUND_BODY:
                self.transport.abort()

    def _expect_request(self) -> None:
        self._request_is_complete()
        self._around_body = 0
        self._timer = self.loop.call_later(_REQUEST_SECONDS, self._give_up)

    def _request_is_complete(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        self.transport.abort()
