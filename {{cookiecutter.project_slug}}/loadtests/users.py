"""The users that scenarios are made of: Locust's, with a connection each instead of requests."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from locust import User
from locust.env import Environment
from locust.exception import StopTest

from loadtests.connection import Connection
from loadtests.follower import Follower, Message
from loadtests.measures import Measures
from loadtests.target import objection
from loadtests.tokens import Identity, NoTokensError, identities

_USERS_A_RUN, _USERS_A_WORKER = 10_000_000, 100_000


class WebSocketUser(User):
    """A user of the service; `kind` names their measures.

    Raises:
        StopTest: The service must not be loaded, or there are no tokens for it.
    """

    abstract = True
    kind: ClassVar[str]
    _identities: ClassVar[Iterator[Identity] | None] = None
    _existing: ClassVar[dict[str, int]] = {}

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not options_of(environment).force and (problem := objection(self.host)):
            raise StopTest(problem)
        self.identity = next(self._everybody())
        self.measures = Measures(environment, self.kind)

    def connect(self, path: str, on_message: Callable[[str | bytes], None]) -> Connection:
        """A connection without a token, to be started."""
        return Connection(self._address(path), self.measures, on_message=on_message)

    def follow(self, path: str, *, stream: str, on_live: Callable[[Message], None] = lambda _message: None) -> Follower:
        """A connection that follows a stream, to be started."""
        return Follower(
            self._address(path),
            self.measures,
            token=self.identity.token,
            stream=stream,
            existing=self._existing,
            on_live=on_live,
        )

    def exists(self, stream: str, seq: int) -> None:
        """A stream is known to have come to `seq`: all its followers have to come there too."""
        self._existing[stream] = max(seq, self._existing.get(stream, 0))

    def _address(self, path: str) -> str:
        return f"{(self.host or '').replace('http', 'ws', 1).rstrip('/')}{path}"

    def _everybody(self) -> Iterator[Identity]:
        if WebSocketUser._identities is None:
            runner = self.environment.runner
            worker = getattr(runner, "worker_index", 0)
            first = options_of(self.environment).run_number * _USERS_A_RUN + worker * _USERS_A_WORKER
            try:
                WebSocketUser._identities = identities(self.host or "", first)
            except NoTokensError as error:
                raise StopTest(str(error)) from None
        return WebSocketUser._identities


def options_of(environment: Environment) -> Any:
    """The options of the command line, ours among them."""
    return environment.parsed_options
