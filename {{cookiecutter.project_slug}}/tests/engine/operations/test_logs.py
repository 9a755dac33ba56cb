"""What is written about connections: an id on every line, no token on any. One service, all it wrote at DEBUG."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from service.engine.observability.logs import redact
from tests.engine.kit.client import Client, connected, refused
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually

OTHER_KEY = "another key of more bytes than the longest of the HMAC algorithms asks for"
GOOD, BAD, OLD = token(101), token(102, key=OTHER_KEY), token(103, ttl=-1)
TICKET = "n0-ticket-that-was-ever-issued-but-as-l0ng-1"
PRIVATE = "something-private"


@pytest.fixture(scope="module")
def log(postgres: Address) -> str:
    """Everything a service wrote from its start to its end."""
    service = Service(postgres.create_database(), {"LOG_LEVEL": "DEBUG"}, module="tests.engine.application")
    try:
        asyncio.run(talk(service))
        service.terminate()
        assert service.wait() == 0
        return service.log()
    finally:
        service.discard()


@pytest.fixture(scope="module")
def lines(log: str) -> list[dict[str, Any]]:
    """The log, which has to be JSON from the first line to the last."""
    return [json.loads(line) for line in log.splitlines()]


async def talk(service: Service) -> None:
    """Connect in every way, be refused in every way, say good and bad things."""
    for path in ("/ws/letters", "/ws/rooms/1", "/ws/echo"):
        carried: list[dict[str, Any]] = [
            {"token": GOOD},
            {"subprotocols": ["live.v1", f"bearer.{GOOD}"]},
            {"headers": {"Authorization": f"Bearer {GOOD}"}},
        ]
        for options in carried:
            async with connected(service.ws, path, **options) as client:
                await say_things(client)
    for path in ("/ws/letters", "/ws/nothing", "/ws/rooms/x"):
        for wrong in (BAD, OLD):
            await refused(service.ws, path, token=wrong)
            await refused(service.ws, path, ticket=wrong)
            await refused(service.ws, path, subprotocols=["live.v1", f"bearer.{wrong}"])
            await refused(service.ws, path, headers={"Authorization": f"Bearer {wrong}"})
    for path in ("/api/rooms/1/entries", "/healthz", "/nothing"):
        for place in ({"headers": {"Authorization": f"Bearer {GOOD}"}}, {"params": {"token": OLD, "ticket": BAD}}):
            await asyncio.to_thread(service.get, path, **place)
    for place in ({"headers": {"Authorization": f"Bearer {GOOD}"}}, {"params": {"token": OLD, "ticket": TICKET}}):
        answer = await asyncio.to_thread(service.get, "/api/bug", **place)
        assert answer.status_code == 500
    async with connected(service.ws, "/ws/bug", token=GOOD, ticket=TICKET) as client:
        await client.send_raw(f"{GOOD} {PRIVATE}")
        await client.closed()
    await refused(service.ws, "/ws/bug-at-the-door", token=GOOD, ticket=TICKET)
    await eventually(lambda: service.open_sockets() == 0, "all connections are over")


async def say_things(client: Client) -> None:
    await client.send({"type": "new_entry", "body": PRIVATE})
    await client.send({"type": "new_entry", "body": [PRIVATE]})
    await client.send({"type": "authenticate", "token": BAD})
    await client.send({"type": "authenticate", "token": GOOD, "extra": GOOD})
    await client.send({"type": GOOD})
    await client.send_raw(f"{GOOD} {PRIVATE}")
    for _ in range(6):
        await client.receive_raw()


def test_no_token_appears_in_any_line(log: str) -> None:
    assert log
    for secret in (GOOD, BAD, OLD):
        assert secret not in log
        assert secret.rsplit(".", 1)[1] not in log, "not even the signature"
    assert TICKET not in log


def test_whoever_writes_into_it_is_covered(lines: list[dict[str, Any]]) -> None:
    loggers = {str(line["logger"]).partition(".")[0] for line in lines}
    assert {"gunicorn", "uvicorn", "service"} <= loggers
    assert {line["level"] for line in lines} >= {"debug", "info", "error"}
    in_tracebacks = [line for line in lines if "ValueError" in str(line.get("exception"))]
    assert len(in_tracebacks) == 2
    assert all("[redacted]" in str(line) for line in in_tracebacks)


def test_what_clients_say_is_not_logged(log: str) -> None:
    assert PRIVATE not in log


def test_every_line_is_json_with_a_level_and_a_time(lines: list[dict[str, Any]]) -> None:
    assert len(lines) > 10
    for line in lines:
        assert {"level", "timestamp"} <= set(line), line


def test_every_line_of_a_connection_carries_its_id(lines: list[dict[str, Any]]) -> None:
    of_connections = [line for line in lines if "/ws/" in str(line.get("path", "")) and "method" not in line]
    assert of_connections
    assert all(line.get("connection_id") for line in of_connections)


def test_every_connection_has_an_id_of_its_own(lines: list[dict[str, Any]]) -> None:
    closed = [line for line in lines if line["event"] == "connection_closed"]
    assert len({line["connection_id"] for line in closed}) == len(closed) == 10
    assert [line["code"] for line in closed] == [1000] * 9 + [1011]


def test_a_refused_handshake_leaves_a_line_with_its_reason(lines: list[dict[str, Any]]) -> None:
    """Otherwise nobody can find out why a client cannot connect."""
    for reason in ("expired_token", "invalid_token"):
        assert [line for line in lines if reason in str(line)], reason


@pytest.mark.parametrize("change", [str, str.upper, str.title], ids=["as it is", "upper case", "title case"])
@pytest.mark.parametrize(
    "line",
    [
        "GET /ws?token=s3cret",
        "GET /ws?ticket=s3cret",
        "bearer s3cret",
        "bearer.s3cret",
        "postgresql://app:s3cret@db/app",
    ],
)
def test_each_kind_of_secret_is_found_alone(line: str, change: Callable[[str], str]) -> None:
    assert "s3cret" not in redact(change(line)).lower()
    assert "[redacted]" in redact(change(line))


def test_a_token_without_a_word_around_it_is_found() -> None:
    assert redact(f"({GOOD})") == "([redacted])"


def test_a_line_without_secrets_stays_as_it_is() -> None:
    line = '{"event": "connection_closed", "path": "/ws/rooms/1", "code": 1000}'
    assert redact(line) == line
