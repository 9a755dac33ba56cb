"""How long an HTTP client may take on uvicorn: to ask, to ask again, to read the answer.

uvicorn gives any time for the first and the last, so anybody could hold a socket for ever, without a token. The other
it measures from the wrong moments: it closes connections on which a request is arriving or is being answered.
"""

from asyncio import TimerHandle, Transport
from time import monotonic

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 10.0


class TimedHttpProtocol(HttpToolsProtocol):
    """Closes a connection on which nothing has moved for as long as it may be kept."""

    unanswered = 0
    """How many requests have come whose answers are not complete."""
    _arrival: TimerHandle | None = None
    _arrives_by: float | None = None
    """Until when a request that is expected, or arriving, may take."""
    _stall: TimerHandle | None = None
    """Runs while the client reads more slowly than it is sent."""
    _unsent = 0
    """How much was waiting to be sent when that timer was started."""

    @property
    def is_arriving(self) -> bool:
        return self._arrives_by is not None

    def give_up(self) -> None:
        """A request has taken too long to arrive."""
        self.transport.abort()

    def stop_waiting(self) -> None:
        """Nothing more is expected."""
        self._unset_keepalive_if_required()
        self._arrives_by = None

    def stop_timers(self) -> None:
        self.stop_waiting()
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        self._stop_stall()

    # What uvicorn calls

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._unset_keepalive_if_required()
        self._expect_request()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.unanswered += 1

    def on_message_complete(self) -> None:
        self._arrives_by = None
        super().on_message_complete()
        if not self.unanswered and not self.parser.should_upgrade():
            self._keep_alive()

    def on_response_complete(self) -> None:
        self.unanswered -= 1
        super().on_response_complete()

    def timeout_keep_alive_handler(self) -> None:
        if self.flow.write_paused:
            self._keep_alive()  # the other timer sees to it
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # uvicorn would wait for ever until this is read
        elif not self.unanswered and not self.is_arriving:  # the next answer starts this timer again
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_unsent()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop_timers()  # uvicorn keeps its own, and us with it, where the client has reset
        super().connection_lost(exc)

    # The timers

    def _expect_request(self) -> None:
        """A timer that runs is not made anew for each request: it looks again when it is over."""
        self._arrives_by = monotonic() + REQUEST_SECONDS
        if self._arrival is None:
            self._arrival = self.loop.call_later(REQUEST_SECONDS, self._look_for_arrival)

    def _look_for_arrival(self) -> None:
        self._arrival = None
        if self._arrives_by is None:
            return
        remaining = self._arrives_by - monotonic()
        if remaining > 0:
            self._arrival = self.loop.call_later(remaining, self._look_for_arrival)
        else:
            self._arrives_by = None
            self.give_up()

    def _keep_alive(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _watch_unsent(self) -> None:
        self._stop_stall()
        self._unsent = self.transport.get_write_buffer_size()
        self._stall = self.loop.call_later(self.timeout_keep_alive, self._look_at_unsent)

    def _look_at_unsent(self) -> None:
        if self.transport.get_write_buffer_size() < self._unsent:
            self._watch_unsent()
        else:
            self.transport.abort()

    def _stop_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
