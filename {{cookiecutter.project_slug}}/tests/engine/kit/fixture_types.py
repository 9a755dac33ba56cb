"""The types of what the fixtures of `plugin` give."""

from collections.abc import Awaitable
from typing import Any, Protocol, TypedDict

from tests.engine.kit.client import Client
from tests.engine.kit.postgres import Database
from tests.engine.kit.running import Service


class Broker(TypedDict):
    """The settings that choose how events travel between processes; an empty address is PostgreSQL."""

    VALKEY_URL: str


class StartService(Protocol):
    """Starts a service with the given settings, in names as in the environment.

    Its database is a new one unless one is given; `module` is started instead of the application under test.
    """

    def __call__(self, *, database: Database | None = None, module: str | None = None, **settings: str) -> Service: ...


class Connect(Protocol):
    """Opens a connection to a service that the end of the test closes; the options are those of `client.connected`."""

    def __call__(self, service: Service, path: str, **options: Any) -> Awaitable[Client]: ...


class Number(Protocol):
    """A number that it has given to nobody else."""

    def __call__(self) -> int: ...
