"""The users that scenarios are made of: Locust's, with connections instead of requests."""

from collections.abc import Callable
from typing import Any, ClassVar

from locust import User
from locust.env import Environment
from locust.exception import StopTest

from loadtests.engine.api import Service
from loadtests.engine.client import Client, Message
from loadtests.engine.connection import Connection
from loadtests.engine.follower import Follower, Vocabulary
from loadtests.engine.measures import Measures
from loadtests.engine.target import objection
from loadtests.engine.tokens import NoTokensError, Somebody, identities

_USERS_A_RUN, _USERS_A_WORKER = 10_000_000, 100_000


class WebSocketUser(User):
    """A user of the service; `kind` names their measures, `scopes` are those of their token.

    Raises:
        StopTest: The service must not be loaded, or there are no tokens for it.
    """

    abstract = True
    kind: ClassVar[str]
    scopes: ClassVar[tuple[str, ...]] = ()
    follower: ClassVar[type[Follower]] = Follower
    _somebody: ClassVar[Somebody | None] = None
    _existing: ClassVar[dict[str, int]] = {}

    @classmethod
    def prepare(cls, service: Service) -> None:
        """Make what these users need; called once, before the first of them is there."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not options_of(environment).force and (problem := objection(self.host)):
            raise StopTest(problem)
        self.identity = self._everybody()(self.scopes)
        self.measures = Measures(environment, self.kind)

    def connect(self, path: str, on_message: Callable[[str | bytes], None]) -> Connection:
        """A connection without a token, to be started."""
        return Connection(self._address(path), self.measures, on_message=on_message)

    def join(self, path: str) -> Client:
        """A connection with a token, to be started."""
        return Client(self._address(path), self.measures, token=self.identity.token)

    def follow(
        self,
        path: str,
        vocabulary: Vocabulary,
        *,
        stream: str | None = None,
        on_live: Callable[[Message], None] = lambda _event: None,
    ) -> Follower:
        """A connection that follows a stream, to be started. `stream` tells those apart that share a path."""
        return self.follower(
            self._address(path),
            self.measures,
            token=self.identity.token,
            vocabulary=vocabulary,
            stream=path if stream is None else stream,
            existing=self._existing,
            on_live=on_live,
        )

    def exists(self, stream: str, seq: int) -> None:
        """A stream is known to have come to `seq`: all its followers have to come there too."""
        self._existing[stream] = max(seq, self._existing.get(stream, 0))

    def _address(self, path: str) -> str:
        return f"{(self.host or '').replace('http', 'ws', 1).rstrip('/')}{path}"

    def _everybody(self) -> Somebody:
        if WebSocketUser._somebody is None:
            worker = getattr(self.environment.runner, "worker_index", 0)
            try:
                WebSocketUser._somebody = identities(self.host or "", first_user(self.environment, worker))
            except NoTokensError as error:
                raise StopTest(str(error)) from None
        return WebSocketUser._somebody


class ConnectedUser(WebSocketUser):
    """Somebody with one connection, for as long as they are there; a subclass makes it."""

    abstract = True
    connection: Connection

    def on_start(self) -> None:
        self.connection.start()

    def on_stop(self) -> None:
        self.connection.settle()
        self.connection.close()


def first_user(environment: Environment, worker: int) -> int:
    """The number of the first user that a worker of this run plays."""
    return int(options_of(environment).run_number) * _USERS_A_RUN + worker * _USERS_A_WORKER


def options_of(environment: Environment) -> Any:
    """The options of the command line, ours among them."""
    return environment.parsed_options
