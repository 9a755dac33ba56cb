"""Traces, as a receiver on the wire gets them: from a handshake to another process, without contents."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest

from service.engine.foundation.project import read_project
from tests.engine.application.app import application
from tests.engine.application.models import EntryModel
from tests.engine.application.rooms import ROOMS
from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Broker, Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.observability.receivers import Receiver, Span
from tests.engine.rooms import POSTMASTER, enter

SOON: dict[str, Any] = {"OTEL_BSP_SCHEDULE_DELAY": "50"}
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5
"""Kinds of spans, by their numbers on the wire."""
PRIVATE = "something-private"


@pytest.fixture
def service(shared_service: StartService, receiver: Receiver, broker: Broker) -> Service:
    """A process whose traces are received, with each of the brokers."""
    return shared_service(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_SERVICE_NAME="one", **SOON, **broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, receiver: Receiver, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    two = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "two"} | SOON
    return shared_service(database=service.database, **two, **broker)


def caused() -> tuple[str, str, dict[str, str]]:
    """The ids of a trace and of the span that a client is in, and the header that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-01"}


async def traced(receiver: Receiver, trace: str, *names: str) -> list[Span]:
    """The spans of a trace, once those of these names are among them, in this order."""
    await eventually(lambda: set(names) <= {span.name for span in receiver.trace(trace)}, f"spans {names}")
    spans = receiver.trace(trace)
    return [next(span for span in spans if span.name == name) for name in names]


async def delivered(receiver: Receiver, trace: str) -> Span:
    """The delivery of a trace's one event in the second process."""

    def found() -> list[Span]:
        return [span for span in receiver.trace(trace) if (span.service, span.kind) == ("two", CONSUMER)]

    await eventually(found, "the delivery in the other process")
    (delivery,) = found()
    assert delivery.name.startswith("delivery ")
    return delivery


async def test_one_trace_leads_from_the_handshake_to_the_delivery_in_another_process(
    service: Service, twin: Service, receiver: Receiver, connect: Connect, room: int, user: int
) -> None:
    trace, span, headers = caused()
    reader = await connect(twin, f"/ws/rooms/{room}", user=1)
    writer = await connect(service, f"/ws/rooms/{room}", user=user, headers=headers)
    await enter(writer, PRIVATE)
    assert (await reader.receive())["body"] == PRIVATE
    names = ("handshake /ws/rooms/{room_id}", "message /ws/rooms/{room_id}", "publish rooms/{room_id}", "SQL WITH")
    handshake, message, publish, statement = await traced(receiver, trace, *names)
    delivery = await delivered(receiver, trace)
    assert (handshake.parent, message.parent, publish.parent) == (span, handshake.id, message.id)
    assert (statement.parent, delivery.parent) == (publish.id, publish.id)
    kinds = [each.kind for each in (handshake, message, publish, statement, delivery)]
    assert kinds == [SERVER, SERVER, PRODUCER, CLIENT, CONSUMER]
    stream = {"messaging.destination.name": f"rooms/{room}"}
    connection = {"connection.id": handshake.attributes["connection.id"]}
    assert handshake.attributes == connection | {"user.id": str(user)}
    assert message.attributes == handshake.attributes | {"message.type": "NewEntry"}
    assert publish.attributes == connection | stream
    assert delivery.attributes == stream
    assert "INSERT INTO entries" in statement.attributes["db.query.text"]


async def test_one_trace_leads_from_a_request_to_the_delivery_in_another_process(
    service: Service, twin: Service, receiver: Receiver, connect: Connect, http: httpx.AsyncClient, user: int
) -> None:
    trace, span, headers = caused()
    reader = await connect(twin, "/ws/letters", user=user)
    letter = {"user_id": user, "data": {"text": PRIVATE * 500}}
    answer = await http.post("/api/letters", json=letter, headers=POSTMASTER | headers)
    assert answer.status_code == 201
    assert (await reader.receive())["data"] == letter["data"], "too large to travel; its context does"
    request, publish = await traced(receiver, trace, "request POST /api/letters", "publish letters/{user_id}")
    assert (request.parent, publish.parent) == (span, request.id)
    assert (await delivered(receiver, trace)).parent == publish.id
    assert (request.attributes["http.response.status_code"], request.attributes["user.id"]) == (201, "1")


async def test_problems_are_named_and_only_those_of_ours_are_errors(
    service: Service, receiver: Receiver, connect: Connect
) -> None:
    outcomes = []
    for path in ("/ws/letters", "/ws/bug-at-the-door"):
        trace, _, headers = caused()
        await refused(service.ws, path, headers=headers)
        (handshake,) = await traced(receiver, trace, f"handshake {path}")
        outcomes.append((handshake.attributes["error.type"], handshake.failed))
    trace, _, headers = caused()
    client = await connect(service, "/ws/bug", headers=headers)
    await client.send_raw(PRIVATE)
    await client.closed()
    (message,) = await traced(receiver, trace, "message /ws/bug")
    outcomes.append((message.attributes["error.type"], message.failed))
    assert outcomes == [("missing_token", False), ("internal_error", True), ("ZeroDivisionError", True)]


async def test_nothing_secret_is_sent(
    service: Service, receiver: Receiver, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    good, ticket = token(101), (await http.post("/api/tickets", headers=bearer(101))).json()["ticket"]
    trace, _, headers = caused()
    path = f"/ws/rooms/{room}"
    await (await connect(service, path, token=good, headers=headers)).close()
    await (await connect(service, path, ticket=ticket, headers=headers)).close()
    client = await connect(service, path, subprotocols=["live.v1", f"bearer.{good}"], headers=headers)
    await enter(client, PRIVATE)
    await client.send({"type": "authenticate", "token": good})
    assert (await client.receive())["type"] == "authenticated"
    await client.websocket.close(4000, PRIVATE)
    await http.get(f"/api/rooms/{room}/entries", params={"token": good, "after": 0}, headers=bearer(101) | headers)
    await http.get("/api/bug", params={"token": good, "ticket": ticket}, headers=headers)
    await refused(service.ws, "/ws/letters", token=f"{good}x", ticket=ticket, headers=headers)
    await traced(receiver, trace, "message /ws/rooms/{room_id}", "request GET /api/bug", "handshake /ws/letters")
    for secret in (good, good.rsplit(".", 1)[1], ticket, PRIVATE, "token=", "ticket="):
        assert not receiver.has(secret), secret


async def test_a_receiver_that_does_not_answer_holds_up_nobody(
    own_receiver: Receiver, start_service: StartService, connect: Connect, room: int
) -> None:
    own_receiver.stalls = True
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=own_receiver.url, **SOON)
    client = await connect(service, f"/ws/rooms/{room}", user=1)
    for number in range(50):
        assert (await enter(client, "hello"))["seq"] == number + 1
    await eventually(lambda: own_receiver.received, "something was sent")
    service.terminate()
    assert (await client.ending()).code == 1012
    assert await asyncio.to_thread(service.wait) == 0
    assert "SIGKILL" not in service.log()


async def test_a_receiver_that_is_away_holds_up_nobody(
    own_receiver: Receiver, start_service: StartService, connect: Connect, room: int
) -> None:
    own_receiver.server.server_close()
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=own_receiver.url, **SOON)
    client = await connect(service, f"/ws/rooms/{room}", user=1)
    assert (await enter(client, "hello"))["seq"] == 1
    await asyncio.to_thread(service.stop)


async def test_every_process_sends_what_is_left_at_its_end(
    own_receiver: Receiver, start_service: StartService, connect: Connect
) -> None:
    """As the SDK's own variables say, of which the engine reads none."""
    variables: dict[str, Any] = {
        "OTEL_BSP_SCHEDULE_DELAY": "60000",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of-the-receiver",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
    }
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=own_receiver.url, WEB_CONCURRENCY="2", **variables)
    for _ in range(4):
        await (await connect(service, "/ws/echo")).close()
    assert not own_receiver.received
    await asyncio.to_thread(service.stop)
    assert [span.name for span in own_receiver.spans].count("handshake /ws/echo") == 4
    assert {span.service for span in own_receiver.spans} == {read_project().name}
    assert {request.headers["api-key"] for request in own_receiver.received} == {"of-the-receiver"}
    assert own_receiver.has("deployment.environment.name")


@pytest.mark.parametrize("off", [{"OTEL_TRACES_SAMPLER": "always_off"}, {"OTEL_SDK_DISABLED": "true"}])
async def test_what_is_not_wanted_is_not_sent(
    own_receiver: Receiver, start_service: StartService, connect: Connect, off: dict[str, Any], room: int
) -> None:
    service = start_service(OTEL_EXPORTER_OTLP_ENDPOINT=own_receiver.url, **SOON, **off)
    await enter(await connect(service, f"/ws/rooms/{room}", user=1), "hello")
    await asyncio.to_thread(service.stop)
    assert not own_receiver.received


async def test_what_a_worker_publishes_is_traced_to_its_delivery(
    service: Service,
    receiver: Receiver,
    broker: Broker,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    """A process of its own publishes, as `application.opened()` lets it; here it is the tests'."""
    reader = await connect(service, f"/ws/rooms/{room}", user=1)
    worker = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": "worker"}
    for name, value in (service.settings | worker).items():
        monkeypatch.setenv(name, value)
    async with application.opened() as (streams, _):
        await streams.append(ROOMS(room), EntryModel(author_id=1, body=PRIVATE))
    assert (await reader.receive())["body"] == PRIVATE

    def found(service: str) -> list[Span]:
        stream = ("messaging.destination.name", f"rooms/{room}")
        return [span for span in receiver.spans if span.service == service and stream in span.attributes.items()]

    await eventually(lambda: found("worker") and found("one"), "publication and delivery")
    (publish,), (delivery,) = found("worker"), found("one")
    assert (delivery.trace, delivery.parent) == (publish.trace, publish.id)
