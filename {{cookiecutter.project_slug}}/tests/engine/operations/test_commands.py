"""The commands an operator types: what they do, and what they say when they cannot."""

import asyncio
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from tests.engine.kit.client import connected
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service

COMMANDS = ["serve", "migrate", "token", "asyncapi", "types"]
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_command_explains_itself(commands: Commands, command: list[str]) -> None:
    helped = commands.run_here(*command, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert all(name in helped.stdout for name in (command if command else COMMANDS))


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["serve", "--fly"],
        ["migrate", "now"],
        ["token"],
        ["token", "--user"],
        ["token", "--user", "alice"],
        ["token", "--user", "-1"],
        ["token", "--user", str(2**63)],
        ["token", "--user", "7", "--ttl", "soon"],
        ["token", "--user", "7", "--ttl", "0"],
        ["token", "--user", "7", "--ttl", "-5"],
    ],
)
def test_a_bad_argument_ends_in_a_clear_line(commands: Commands, arguments: list[str]) -> None:
    refused = commands.run_here(*arguments, SECRET_KEY=SECRET_KEY)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert refused.stderr.strip()
    assert "Traceback" not in refused.stderr
    *usage, why = refused.stderr.strip().splitlines()
    assert why.strip()
    assert len(usage) < 5


@pytest.mark.parametrize("seconds", ["soon", "0", "-5", "1.5", ""])
def test_a_refused_lifetime_says_what_it_has_to_be(commands: Commands, seconds: str) -> None:
    refused = commands.run_here("token", "--user", "7", f"--ttl={seconds}", SECRET_KEY=SECRET_KEY)
    assert f"--ttl: {seconds!r} is not a whole number of seconds above 0" in refused.stderr


async def test_a_printed_token_opens_a_connection(commands: Commands, service: Service) -> None:
    printed = commands.run_cold("token", "--user", "7", SECRET_KEY=SECRET_KEY)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert len(printed.stdout.split()) == 1
    async with connected(service.ws, "/ws/letters", token=printed.stdout.strip()) as client:
        await client.lives()


def test_a_printed_token_says_what_was_asked(commands: Commands) -> None:
    command = ("token", "--user", "7", "--ttl", "60", "--scope", "letters:write")
    printed = commands.run_here(*command, SECRET_KEY=f"{SECRET_KEY},an older key of more than thirty-two bytes")
    claims = jwt.decode(printed.stdout.strip(), SECRET_KEY, algorithms=["HS256"])
    assert claims["sub"] == "7"
    assert claims["scope"] == "letters:write"
    assert claims["exp"] - time.time() == pytest.approx(60, abs=5)


def test_a_token_lives_an_hour_unless_told_otherwise(commands: Commands) -> None:
    printed = commands.run_here("token", "--user", "7", SECRET_KEY=SECRET_KEY)
    claims = jwt.decode(printed.stdout.strip(), SECRET_KEY, algorithms=["HS256"])
    assert claims["exp"] - time.time() == pytest.approx(3600, abs=10)
    assert "scope" not in claims or not claims["scope"]


def test_a_token_needs_a_key_to_be_signed_with(commands: Commands) -> None:
    refused = commands.run_here(
        "token", "--user", "7", ENVIRONMENT="production", DATABASE_URL="postgresql://localhost/x"
    )
    assert refused.returncode != 0
    assert "SECRET_KEY" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_migrating_in_several_processes_at_once_is_safe(commands: Commands, postgres: Address) -> None:
    database = postgres.create_database(migrated=False)

    def migrate(_: int) -> subprocess.CompletedProcess[str]:
        return commands.run("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)

    with ThreadPoolExecutor(3) as threads:
        migrations = list(threads.map(migrate, range(3)))
    assert [(migrated.returncode, migrated.stderr) for migrated in migrations if migrated.returncode] == []
    assert {"streams", "entries", "letters"} <= {name for (name,) in database.rows(TABLES)}


def test_migrating_again_keeps_what_is_stored(commands: Commands, postgres: Address) -> None:
    database = postgres.create_database()
    database.execute("insert into streams (name, last_seq) values ('kept', 7)")
    assert commands.run_cold("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY).returncode == 0
    assert database.rows("select name, last_seq from streams") == [("kept", 7)]


@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_database_url_that_cannot_work_is_refused_in_one_line(commands: Commands, command: str) -> None:
    refused = commands.run_here(command, DATABASE_URL="sqlite:///x.db", SECRET_KEY=SECRET_KEY)
    assert refused.returncode != 0
    assert "DATABASE_URL" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_migrating_an_unreachable_database_ends_in_one_line(commands: Commands) -> None:
    unreachable = "postgresql://someone:a-password@127.0.0.1:9/nowhere?connect_timeout=2"
    refused = commands.run("migrate", DATABASE_URL=unreachable, SECRET_KEY=SECRET_KEY)
    assert refused.returncode != 0
    assert refused.stderr.strip()
    assert "Traceback" not in refused.stderr + refused.stdout
    assert "a-password" not in refused.stderr + refused.stdout


def test_a_port_in_use_ends_in_a_clear_line(commands: Commands, service: Service) -> None:
    taken = commands.run(
        "serve", HOST="127.0.0.1", PORT=str(service.port), DATABASE_URL=service.database.url, SECRET_KEY=SECRET_KEY
    )
    assert taken.returncode != 0
    assert str(service.port) in taken.stderr
    assert "Traceback" not in taken.stderr


@pytest.mark.parametrize("interactive", [signal.SIGINT, signal.SIGQUIT])
async def test_an_interactive_stop_says_goodbye_and_does_not_wait_for_the_drain(
    start_service: StartService, connect: Connect, interactive: signal.Signals
) -> None:
    service = start_service(DRAIN_SECONDS="30")
    client = await connect(service, "/ws/letters", user=1)
    os.kill(service.process.pid, interactive)
    assert (await client.closed())[0] == 1012
    assert await asyncio.to_thread(service.wait) == 0
    assert "SIGKILL" not in service.log()
