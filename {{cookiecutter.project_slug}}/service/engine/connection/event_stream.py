"""One client that follows one stream by server-sent events: a connection like others, to which nothing is said."""

import asyncio
from operator import attrgetter
from time import monotonic
from typing import Any

import structlog

from service.engine.auth.principal import Principal
from service.engine.connection.life import report
from service.engine.connection.session import no_longer
from service.engine.connection.subscriptions import Subscriptions
from service.engine.foundation import endings
from service.engine.foundation.endings import Ending
from service.engine.foundation.problems import Unavailable
from service.engine.foundation.tasks import Tasks
from service.engine.foundation.wire import CaughtUp, Error, HistoryGap, Message, Reconnect, UserId
from service.engine.link.heartbeat import Liveness
from service.engine.link.server_sent import Headers, ServerSentLink
from service.engine.process.runtime import Runtime
from service.engine.streams.event import Passing, server_sent
from service.engine.streams.stream import StreamKey

_LAST_WORDS = {
    endings.TOKEN_EXPIRED: Error(code="expired_token", message="The token has expired."),
    endings.REVOKED: Error(code="invalid_token", message="The token is not valid: it was revoked."),
}

_logger = structlog.get_logger(__name__)


class EventStream:
    """The client, as topics, the sweep and the drain know it."""

    form = attrgetter("server_sent")
    answers_pings = overloaded = False

    def __init__(self, runtime: Runtime, connection_id: str, principal: Principal, link: ServerSentLink) -> None:
        self.id = connection_id
        self.principal: Principal | None = principal
        self.user_id: UserId = principal.user_id
        self.link = link
        self.liveness = Liveness()
        self.ending: Ending | None = None
        self.tasks = Tasks(self._failed)
        self.subscriptions = Subscriptions(self, runtime.hub, runtime.metrics)
        self._runtime = runtime
        self._cut: asyncio.TimerHandle | None = None

    async def live(self, key: StreamKey[Any], after: int | None, headers: Headers, endpoint: str) -> None:
        """Send a stream from the position `after`, or from where it is, until either side ends.

        Raises:
            Problem: The answer has not begun, and will not.
        """
        since = monotonic()
        with self._runtime.connections.admitted(self):
            async with self.subscriptions.opened(key, self) as subscription:
                if not subscription.topic.is_open:
                    raise Unavailable
                await self.link.start(headers)
                self._runtime.metrics.handshakes[endpoint] += 1
                try:
                    self.subscriptions.start(subscription, self.subscriptions.catch_up(subscription, after))
                    await self.link.run(self)
                finally:
                    self.tasks.cancel()
                    if self._cut is not None:
                        self._cut.cancel()
                    report(self.ending, self._runtime.metrics, monotonic() - since)

    def say(self, message: Message, seq: int | None = None) -> None:
        """Send what is no event of the stream."""
        self.push(server_sent(message, message.encode(), seq))

    # What topics tell

    def push(self, encoded: bytes) -> None:
        self._runtime.metrics.messages_sent += 1
        self.link.write(encoded)

    async def drained(self) -> None:
        if self.link.congested:
            try:
                async with asyncio.timeout(self._runtime.settings.send_timeout):
                    await self.link.drained()
            except TimeoutError:
                self.overflowed()

    def caught_up(self, stream: str, seq: int) -> None:  # noqa: ARG002 - it follows one
        self.say(CaughtUp(seq=seq), seq)

    def fell_behind(self, stream: str, after: int, seq: int) -> None:  # noqa: ARG002
        self.say(HistoryGap(after=after, seq=seq))

    def signalled(self, signal: Passing, origin: str) -> None:  # noqa: ARG002 - nobody signals here
        if not self.link.congested:
            self.push(signal.server_sent)

    def expel(self, stream: str) -> None:
        self.say(no_longer(stream))
        self.close(endings.REFUSED)

    # What the process tells

    def close(self, ending: Ending) -> None:
        """End the answer. The first ending counts."""
        if self.ending is None:
            self.ending = ending
            if ending in _LAST_WORDS:
                self.say(_LAST_WORDS[ending])
            self.link.close()
            self._cut = asyncio.get_running_loop().call_later(self._runtime.settings.send_timeout, self.link.abort)

    def give_up(self) -> None:
        """End a connection whose client takes nothing."""
        if self.ending is None:
            self._runtime.metrics.heartbeat_timeouts.inc()
            self.ending = endings.SILENT
            self.link.abort()

    def say_goodbye(self, delay_ms: int, *, at_once: bool = False) -> None:  # noqa: ARG002 - it never does anything else
        if self.ending is None:
            self.link.write(b"retry: %d\n" % delay_ms)
            self.say(Reconnect(delay_ms=delay_ms))
            self.close(endings.RESTARTING)

    def abort(self) -> None:
        self.link.abort()

    # What the link tells

    def heard(self) -> None:
        self.liveness.heard_at = monotonic()

    def ended(self, code: int) -> None:
        if self.ending is None:
            self.ending = endings.of_client(code)

    def overflowed(self) -> None:
        if self.ending is None:
            self._runtime.metrics.slow_consumers.inc()
            self._runtime.metrics.limits.labels("outbox").inc()
            self.ending = endings.SLOW_CONSUMER
            self.link.abort()

    def _failed(self, error: BaseException) -> None:
        _logger.error("event_stream_failed", connection_id=self.id, exc_info=error)
        self.close(endings.BUG)
