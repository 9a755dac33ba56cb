"""Error reports, as a receiver on the wire gets them: each bug once, with whose it was, without what was said."""

import asyncio
from typing import Any

import pytest

from service.engine.foundation.project import read_project
from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.observability.receivers import Receiver
from tests.engine.rooms import enter

MODULE = "tests.engine.application.observed"
PRIVATE = "something-private"


@pytest.fixture
def service(shared_service: StartService, receiver: Receiver) -> Service:
    return shared_service(module=MODULE, SENTRY_DSN=receiver.dsn)


@pytest.fixture
def known(receiver: Receiver) -> int:
    """How many had been reported before."""
    return len(receiver.errors)


async def reported(service: Service, receiver: Receiver, known: int, *, bugs: int = 0) -> list[dict[str, Any]]:
    """What was reported since then, `bugs` like this one among it: all that came before the report of one more."""
    assert (await asyncio.to_thread(service.get, "/api/bug")).status_code == 500
    await eventually(lambda: [*map(kind_of, receiver.errors[known:])].count("ValueError") == bugs + 1, "it is reported")
    *errors, _ = receiver.errors[known:]
    return errors


def kind_of(error: dict[str, Any]) -> str:
    found: str = error["exception"]["values"][-1]["type"]
    return found


def logged(service: Service) -> str:
    """The connection of the last bug in the log."""
    found: str = [line for line in service.log_lines() if line["event"] == "endpoint_failed"][-1]["connection_id"]
    return found


async def test_a_bug_in_an_operation_is_reported_once_with_its_connection_and_user(
    service: Service, receiver: Receiver, known: int, connect: Connect, room: int
) -> None:
    client = await connect(service, f"/ws/rooms/{room}", user=666)
    await client.send({"type": "new_entry", "body": PRIVATE})
    assert (await client.closed())[0] == 1011
    (error,) = await reported(service, receiver, known)
    assert kind_of(error) == "BrokenError"
    assert error["user"] == {"id": "666"}
    assert error["tags"]["connection_id"] == logged(service)
    assert error["transaction"] == "message /ws/rooms/{room_id}"
    assert (error["environment"], error["release"]) == ("production", f"{read_project().name}@{read_project().version}")


async def test_a_bug_in_a_handshake_is_reported_once_with_its_connection(
    service: Service, receiver: Receiver, known: int
) -> None:
    await refused(service.ws, "/ws/bug-at-the-door")
    (error,) = await reported(service, receiver, known)
    assert (kind_of(error), error["tags"]["connection_id"]) == ("KeyError", logged(service))


async def test_a_bug_in_a_request_is_reported_once_with_its_user(
    service: Service, receiver: Receiver, known: int
) -> None:
    async with http_client(service.http) as http:
        answer = await http.get("/api/rooms/1/entries", headers=bearer(7) | {"traceparent": "break-after"})
    assert answer.status_code == 200, "it broke when it was answered"
    (error,) = await reported(service, receiver, known)
    assert (kind_of(error), error["user"]) == ("BrokenError", {"id": "7"})
    assert error["transaction"] == "request GET /api/rooms/{room_id}/entries"


async def test_a_bug_in_a_task_is_reported_once(
    service: Service, receiver: Receiver, known: int, connect: Connect
) -> None:
    reader, writer = [await connect(service, "/ws/rooms/666", user=user) for user in (1, 2)]
    await enter(writer, PRIVATE)
    assert (await reader.receive())["body"] == PRIVATE
    (error,) = await reported(service, receiver, known)
    assert (kind_of(error), error["transaction"]) == ("BrokenError", "delivery rooms/{room_id}")


async def test_problems_are_no_errors(
    service: Service, receiver: Receiver, known: int, connect: Connect, room: int
) -> None:
    await refused(service.ws, "/ws/letters")
    await refused(service.ws, "/ws/problem-at-the-door")
    client = await connect(service, "/ws/outage-inside")
    await client.closed()
    client = await connect(service, f"/ws/rooms/{room}", user=668)
    assert (await enter(client, PRIVATE))["code"] == "closed_today"
    assert await reported(service, receiver, known) == []


async def test_nothing_secret_is_sent(service: Service, receiver: Receiver, known: int, connect: Connect) -> None:
    good, ticket = token(101), "n0-ticket-that-was-ever-issued-but-as-l0ng-1"
    secret = {"token": good, "ticket": ticket}
    async with http_client(service.http) as http:
        for place in ({"params": secret}, {"headers": bearer(101)}):
            assert (await http.get("/api/bug", **place)).status_code == 500  # type: ignore[arg-type]
    client = await connect(service, "/ws/bug", **secret)
    await client.send_raw(f"{good} {PRIVATE}")
    await client.closed()
    await refused(service.ws, "/ws/bug-at-the-door", **secret)
    assert len(await reported(service, receiver, known, bugs=2)) == 4
    for said in (good, good.rsplit(".", 1)[1], ticket, PRIVATE, "token=eyJ"):
        assert not receiver.has(said), said


async def test_a_receiver_that_does_not_answer_holds_up_nobody(
    own_receiver: Receiver, start_service: StartService, connect: Connect
) -> None:
    own_receiver.stalls = True
    service = start_service(SENTRY_DSN=own_receiver.dsn)
    for _ in range(3):
        client = await connect(service, "/ws/bug")
        await client.send_raw(PRIVATE)
        assert (await client.closed())[0] == 1011
    await eventually(lambda: own_receiver.received, "something was sent")
    service.terminate()
    assert await asyncio.to_thread(service.wait) == 0
    assert "SIGKILL" not in service.log()
