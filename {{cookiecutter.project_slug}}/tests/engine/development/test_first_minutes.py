"""What somebody sees who starts it for the first time: an address that works, a line that works, or what to do."""

import errno
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import httpx
import pytest
from pydantic import SecretStr

from service.engine.application import preparing
from service.engine.application.application import Application
from service.engine.application.listening import Listener, listen
from service.engine.application.local_postgres import LocalPostgres
from service.engine.application.preparing import Preparation, PreparationError
from service.engine.application.welcome import welcome
from service.engine.foundation.settings import Environment, Settings, SettingsError
from tests.engine.development.conftest import StartRun
from tests.engine.development.developer import Run
from tests.engine.kit.commands import SECRET_KEY, plain_environment
from tests.engine.kit.http_client import http_request
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.running import free_port

KEY = SecretStr(SECRET_KEY)


@pytest.fixture(scope="module")
def shared(postgres: Address) -> Database:
    return postgres.create_database()


@pytest.fixture
def started(run: StartRun, shared: Database) -> Run:
    """A service on a database that is there, as a developer starts it."""
    return run(DATABASE_URL=shared.url).serves()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield server.getsockname()[1]


def shown(text: str, what: str) -> str:
    """A line of the banner."""
    found = re.search(rf"^  {what} +(.+)$", text, re.MULTILINE)
    assert found, text
    return found[1].strip()


def test_the_banner_comes_when_it_listens_and_every_line_of_it_works(started: Run) -> None:
    assert started.output.index("Listening at: http://127.0.0.1:") < started.output.index("  Page")
    page = shown(started.output, "Page")
    assert page == f"http://localhost:{started.port}/"
    with httpx.Client(base_url=page, trust_env=False) as browser:
        assert browser.get("/").status_code == 200
        tokens = browser.get("/demo-tokens", headers={"Sec-Fetch-Site": "same-origin"}).json()
    assert len(tokens) == 2
    line = shown(started.output, "Client")
    assert Path(shlex.split(line)[0]).is_absolute()
    client = subprocess.Popen(
        line, shell=True, cwd="/", env=plain_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin
    assert client.stdout
    client.stdin.write('{"type": "ping"}\n')
    client.stdin.flush()
    read = ""
    while "pong" not in read:
        part = client.stdout.read(1)
        assert part, f"it ended: {read}"
        read += part
    client.communicate(timeout=10)


def test_nobody_else_can_connect_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"
    elsewhere = Settings(
        environment=Environment.PRODUCTION, database_url=SecretStr("postgresql://localhost/x"), secret_key=KEY
    )
    assert elsewhere.host == "0.0.0.0"
    assert Settings(host="0.0.0.0").host == "0.0.0.0"


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({}, "localhost:8001"),
        ({"host": "0.0.0.0"}, "localhost:8001"),
        ({"host": "::"}, "localhost:8001"),
        ({"host": "192.0.2.1"}, "192.0.2.1:8001"),
        ({"host": "2001:db8::1"}, "[2001:db8::1]:8001"),
    ],
)
def test_the_address_is_one_to_reach_it_at(settings: dict[str, str], address: str) -> None:
    text = welcome(Application(), Settings(secret_key=KEY, **settings), 8001)  # type: ignore[arg-type]
    assert shown(text, "Page").startswith(f"http://{address}/#token=eyJ"), "nobody gives tokens of a chosen key away"
    assert f"ws://{address}/ws/ping?token=eyJ" in shown(text, "Client")


def test_where_there_is_no_page_or_no_key_none_is_shown() -> None:
    assert "Page" not in welcome(Application(), Settings(secret_key=KEY, demo_endpoints=False), 1)
    assert welcome(Application(), Settings(jwks_url="https://issuer.example/keys"), 1) == ""


def test_a_taken_port_is_said_at_once_before_anything_is_done(run: StartRun, home: Path, taken: int) -> None:
    refused = run(PORT=str(taken))
    assert refused.refusal() == (
        f"python -m tests.engine.application: error: PORT={taken} is taken by another program: "
        f"stop that one, or choose another port, as in PORT={taken + 1}"
    )
    assert not (home / ".local" / "postgres").exists()


def test_the_same_project_a_second_time_is_such_a_case(run: StartRun, started: Run, shared: Database) -> None:
    assert f"PORT={started.port} is taken" in run(PORT=str(started.port), DATABASE_URL=shared.url).refusal()
    assert started.status("/readyz") == 200


@pytest.mark.parametrize(
    ("settings", "error", "why"),
    [
        ({"host": "x86_64-conda-linux-gnu"}, None, "HOST=x86_64-conda-linux-gnu is no name or address of this machine"),
        ({"host": "a" * 70}, None, f"HOST={'a' * 70} is no name or address of this machine"),
        ({"host": "a..b"}, None, "HOST=a..b is no name or address of this machine"),
        ({"host": "192.0.2.1"}, None, "HOST=192.0.2.1 is not an address of this machine"),
        ({"port": "80"}, errno.EACCES, "PORT=80 is not for everybody"),
        ({"port": "65535"}, errno.EADDRINUSE, "as in PORT=65534"),
        ({}, errno.ENOBUFS, "HOST=127.0.0.1 PORT=8000 cannot be listened at: "),
    ],
)
def test_an_address_that_is_not_to_be_had_is_named(settings: dict[str, str], error: int | None, why: str) -> None:
    refusing = mock.patch.object(Listener, "bind", side_effect=OSError(error, "why")) if error else mock.MagicMock()
    with refusing, pytest.raises(SettingsError) as refused:
        listen(Settings(**settings))  # type: ignore[arg-type]
    assert why in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0.0.0.0", "::", "[::1]", "::1"])
def test_any_way_to_write_an_address_will_do(host: str) -> None:
    with listen(Settings(host=host, port=0)) as listener:
        near = "::1" if ":" in host else "127.0.0.1"
        with socket.create_connection((near, listener.port), timeout=5):
            assert str(listener).endswith(f":{listener.port}")


def test_any_port_will_do_too_and_the_banner_knows_which(run: StartRun, shared: Database) -> None:
    service = run(PORT="0", DATABASE_URL=shared.url)
    service.says("Application startup complete.")
    assert http_request("GET", shown(service.output, "Page")).status_code == 200
    service.stop()


def test_a_database_that_is_away_is_said_and_used_when_it_comes(run: StartRun, home: Path) -> None:
    (home / ".local").mkdir()
    place = home / ".local" / "postgres"
    service = run(DATABASE_URL=f"postgresql://postgres:a-password@/postgres?host={place}")
    service.says("Application startup complete.")
    (line,) = service.own_lines
    assert line.startswith("python -m service: the database of DATABASE_URL cannot be used: ")
    assert service.status("/readyz") == 503
    with mock.patch.dict("os.environ"), LocalPostgres(place).running(lambda _: None):
        service.says("the database is there, and up to date")
        service.serves().stop()
    assert "a-password" not in service.output


def test_a_stop_does_not_wait_for_a_database_that_is_away(run: StartRun) -> None:
    service = run(DATABASE_URL="postgresql://127.0.0.1:9/x")
    service.says("Application startup complete.")
    service.stop()


def test_it_is_repeated_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    clock = [0.0]

    def pass_by(seconds: float) -> None:
        clock[0] += seconds

    def fail_for_two_minutes(*_: object) -> list[str]:
        if clock[0] < 120:
            raise PreparationError("nobody answers")
        return []

    monkeypatch.setattr(preparing, "monotonic", lambda: clock[0])
    monkeypatch.setattr(preparing, "sleep", pass_by)
    monkeypatch.setattr(preparing, "bring_up_to_date", fail_for_two_minutes)
    preparation = Preparation(Application(), Settings(), said.append)
    assert not preparation.succeeds()
    preparation.go_on()
    assert said == [
        *["the database of DATABASE_URL cannot be used: nobody answers (trying again until it can)"] * 4,
        "the database is there, and up to date",
    ]
