"""The connections of this process, and whether it takes one more."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.engine.auth.principal import Principal
from service.engine.foundation.endings import Ending
from service.engine.foundation.problems import Refusal
from service.engine.foundation.settings import Settings
from service.engine.foundation.wire import UserId
from service.engine.link.heartbeat import Liveness, Outlet


class OpenConnection(Protocol):
    """A connection, as far as the process's affairs with it go."""

    principal: Principal | None
    liveness: Liveness

    @property
    def link(self) -> Outlet:
        """What carries it."""

    @property
    def overloaded(self) -> bool:
        """Whether we do not read what it says, because it says too much: its silence is no verdict."""

    @property
    def answers_pings(self) -> bool:
        """Whether its endpoint speaks the application's ping and pong next to the protocol's."""

    def close(self, ending: Ending) -> None: ...

    def give_up(self) -> None: ...

    def say_goodbye(self, delay_ms: int, *, at_once: bool = False) -> None: ...

    def abort(self) -> None: ...


def draining() -> Refusal:
    message = "This process is stopping: connect again."
    return Refusal(503, "draining", message, close_code=1013, headers={"Retry-After": "1"})


class Connections:
    """The open connections of this process, within `MAX_CONNECTIONS` and `MAX_CONNECTIONS_PER_USER`."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_connections
        self._most_per_user = settings.max_connections_per_user
        self._open: set[OpenConnection] = set()
        self._of_user: Counter[UserId] = Counter()
        self.draining = False

    def __iter__(self) -> Iterator[OpenConnection]:
        return iter(tuple(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: OpenConnection) -> None:
        """Count a connection until it is discharged.

        Raises:
            Refusal: 503 `draining` or `at_capacity`, 429 `too_many_connections`.
        """
        self.check_room()
        user = _user_of(connection)
        if user is not None:
            if self._of_user[user] >= self._most_per_user:
                message = f"A user may have {self._most_per_user} connections here."
                raise Refusal(429, "too_many_connections", message, close_code=1013, headers={"Retry-After": "5"})
            self._of_user[user] += 1
        self._open.add(connection)

    @contextmanager
    def admitted(self, connection: OpenConnection) -> Iterator[None]:
        """Count a connection while the block runs; raises Refusal as `admit` does."""
        self.admit(connection)
        try:
            yield
        finally:
            self.discharge(connection)

    def discharge(self, connection: OpenConnection) -> None:
        """It has ended."""
        self._open.discard(connection)
        if (user := _user_of(connection)) is not None:
            self._of_user[user] -= 1
            if not self._of_user[user]:
                del self._of_user[user]

    def check_room(self) -> None:
        """Raise Refusal, 503 `draining` or `at_capacity`, if the process takes nobody."""
        if self.draining:
            raise draining()
        if len(self._open) >= self._most:
            message = "This process has as many connections as it may: connect again later."
            raise Refusal(503, "at_capacity", message, close_code=1013, headers={"Retry-After": "5"})


def _user_of(connection: OpenConnection) -> UserId | None:
    return connection.principal.user_id if connection.principal else None
