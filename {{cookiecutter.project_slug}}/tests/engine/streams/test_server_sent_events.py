"""Streams as server-sent events: what connections promise, over an answer to HTTP that does not end."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from tests.engine.http.wire import handshake, opened, request
from tests.engine.kit.client import Client
from tests.engine.kit.event_source import following
from tests.engine.kit.fixture_types import Broker, Connect, Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter, send_letter


@pytest.fixture
def service(shared_service: StartService, broker: Broker) -> Service:
    """A process, with each of the brokers."""
    return shared_service(**broker)


@pytest.fixture
def twin(service: Service, shared_service: StartService, broker: Broker) -> Service:
    """A second process on the same database and broker."""
    return shared_service(database=service.database, MAX_CONNECTIONS_PER_USER="100", **broker)


async def writer_in(connect: Connect, service: Service, room: int) -> Client:
    return await connect(service, f"/ws/rooms/{room}", user=1)


async def test_events_come_as_on_a_socket_with_their_position_and_type(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    writer, own = await writer_in(connect, service, room), await connect(service, f"/ws/rooms/{room}", user=user)
    await enter(writer, "missed\nGrüße")
    async with following(twin.http, f"rooms/{room}", user=user, after=0) as source:
        assert source.answer.headers["content-type"].startswith("text/event-stream")
        assert source.answer.headers["x-accel-buffering"] == "no"
        assert "no-" in source.answer.headers["cache-control"]
        missed, caught_up = await source.receive_many(2)
        assert (missed.event, missed.id, missed.data) == ("entry", "1", await own.receive())
        assert (caught_up.event, caught_up.id, caught_up.data) == ("caught_up", "1", {"type": "caught_up", "seq": 1})
        await enter(writer, "live")
        live = await source.receive()
        assert (live.event, live.id, live.data) == ("entry", "2", await own.receive())


async def test_without_a_position_only_what_comes_is_sent_and_a_position_to_come_back_to(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    writer = await writer_in(connect, service, room)
    await enter(writer, "before")
    async with following(service.http, f"rooms/{room}", user=user) as source:
        first = await source.receive()
        assert (first.event, first.id) == ("caught_up", "1")
        await enter(writer, "after")
        assert (await source.receive()).data["body"] == "after"


async def test_last_event_id_resumes_and_counts_before_after(
    service: Service, connect: Connect, room: int, user: int
) -> None:
    writer = await writer_in(connect, service, room)
    for number in range(1, 5):
        await enter(writer, str(number))
    last = {"Last-Event-ID": "2"}
    async with following(service.http, f"rooms/{room}", user=user, headers=last, after=0) as source:
        assert [event.id for event in await source.receive_many(3)] == ["3", "4", "4"]
    async with following(service.http, f"rooms/{room}", user=user, headers={"Last-Event-ID": ""}, after=3) as source:
        assert [event.id for event in await source.receive_many(2)] == ["4", "4"]


async def test_who_missed_too_much_is_told_so(service: Service, room: int, user: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('rooms/{room}', 2000)")
    async with following(service.http, f"rooms/{room}", user=user, after=3) as source:
        gap = await source.receive()
        assert (gap.id, gap.data) == (None, {"type": "history_gap", "after": 3, "seq": 2000})


@pytest.mark.parametrize("place", ["header", "query", "ticket"])
async def test_a_token_may_be_where_a_sockets_may(
    service: Service, http: httpx.AsyncClient, room: int, user: int, place: str
) -> None:
    ticket = (await http.post("/api/tickets", headers=bearer(user))).json()["ticket"]
    places: dict[str, dict[str, Any]] = {
        "header": {"user": user},
        "query": {"token": token(user)},
        "ticket": {"ticket": ticket},
    }
    async with following(service.http, f"rooms/{room}", **places[place]) as source:
        assert (await source.receive()).event == "caught_up"
    assert ticket not in service.log()
    assert token(user) not in service.log()


async def test_it_is_refused_as_a_socket_is(service: Service, room: int, user: int) -> None:
    own = {"user": user}
    expected: list[tuple[str, dict[str, Any], int, str]] = [
        (f"rooms/{room}", {}, 401, "missing_token"),
        (f"rooms/{room}", {"token": "nonsense"}, 401, "invalid_token"),
        (f"rooms/{room}", {"ticket": "nonsense"}, 401, "invalid_ticket"),
        (f"rooms/{room}", {"token": token(user, ttl=-10)}, 401, "expired_token"),
        (f"rooms/{room}", own | {"headers": {"Origin": "https://evil.example"}}, 403, "forbidden_origin"),
        (f"letters/{user + 1}", own, 403, "forbidden"),
        ("unheard/7", own, 404, "unknown_stream"),
        (f"rooms/{room}", own | {"headers": {"Last-Event-ID": "x"}}, 422, "invalid_request"),
        (f"rooms/{room}", own | {"after": -1}, 422, "invalid_request"),
    ]
    for name, options, status, code in expected:
        async with following(service.http, name, **options) as source:
            assert (source.answer.status_code, source.answer.json()["code"]) == (status, code)


async def test_it_counts_among_the_connections_of_its_user(shared_service: StartService, room: int, user: int) -> None:
    service = shared_service(MAX_CONNECTIONS_PER_USER="1")
    async with following(service.http, f"rooms/{room}", user=user) as source:
        await source.receive()
        async with following(service.http, f"rooms/{room}", user=user) as second:
            assert (second.answer.status_code, second.answer.json()["code"]) == (429, "too_many_connections")
            assert "retry-after" in second.answer.headers

    async def let_in_again() -> bool:
        async with following(service.http, f"rooms/{room}", user=user) as source:
            return source.answer.status_code == 200

    await eventually(let_in_again, "the place free again")


async def test_a_right_that_ends_ends_it_on_every_process(
    service: Service, twin: Service, http: httpx.AsyncClient, number: Number, user: int
) -> None:
    club = number()
    async with following(twin.http, f"clubs/{club}", token=token(user, clubs=[club])) as source:
        assert (await source.receive()).event == "caught_up"
        await http.delete(f"/api/clubs/{club}/members/{user}", headers=bearer(1, scope="clubs:write"))
        (last,) = await source.rest()
        assert (last.data["code"], last.data["stream"]) == ("forbidden", f"clubs/{club}")


async def test_it_ends_with_its_token(service: Service, room: int, user: int) -> None:
    async with following(service.http, f"rooms/{room}", token=token(user, ttl=3)) as source:
        assert (await source.receive()).event == "caught_up"
        (last,) = await source.rest()
        assert (last.event, last.data["code"]) == ("error", "expired_token")


async def test_it_ends_when_its_user_is_thrown_out(
    service: Service, twin: Service, http: httpx.AsyncClient, room: int, user: int
) -> None:
    async with following(twin.http, f"rooms/{room}", user=user) as source:
        assert (await source.receive()).event == "caught_up"
        scope = bearer(1, scope="connections:write")
        assert (await http.post(f"/api/users/{user}/disconnect", headers=scope)).status_code == 204
        (last,) = await source.rest()
        assert (last.event, last.data["code"]) == ("error", "invalid_token")


async def test_silence_is_broken_by_comments(shared_service: StartService, room: int, user: int) -> None:
    service = shared_service(HEARTBEAT_INTERVAL="0.3", HEARTBEAT_TIMEOUT="2")
    async with following(service.http, f"rooms/{room}", user=user) as source:
        await source.receive()
        with pytest.raises(TimeoutError):
            await source.receive(within=1.5)
        assert source.heartbeats >= 2


async def test_a_drain_says_when_to_come_back(
    start_service: StartService, broker: Broker, room: int, user: int
) -> None:
    service = start_service(DRAIN_SECONDS="1", **broker)
    async with following(service.http, f"rooms/{room}", user=user) as source:
        await source.receive()
        service.terminate()
        (last,) = await source.rest()
        assert (last.event, last.retry) == ("reconnect", str(last.data["delay_ms"]))
        assert source.answer.headers["connection"] == "close"
    assert service.wait() == 0


async def test_a_reader_that_stalls_is_let_go_and_holds_up_nobody(start_service: StartService, user: int) -> None:
    service = start_service(MAX_OUTBOX_BYTES="200000", SEND_TIMEOUT="1")
    name = f"letters/{user}"
    async with (
        http_client(service.http) as http,
        following(service.http, name, user=user) as reading,
    ):
        await reading.receive()
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((HOST, service.port))
            head = f"GET /api/streams/{name}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token(user)}\r\n\r\n"
            stalled.sendall(head.encode())
            await eventually(lambda: connections(service) == 2, "it follows")
            sent = 0
            while connections(service) == 2:
                await send_letter(http, user, {"text": "x" * 60_000})
                sent += 1
                assert (await reading.receive()).id == str(sent)
                assert sent < 500, "it goes on to be sent what it does not read"
    assert "websocket_slow_consumers_total 1.0" in service.get("/metrics").text


async def test_head_is_answered_without_following(service: Service, room: int, user: int) -> None:
    async with http_client(service.http) as http:
        answer = await http.head(f"/api/streams/rooms/{room}/events", headers=bearer(user))
        assert (answer.status_code, answer.content) == (200, b"")


async def test_clients_that_come_back_by_last_event_id_miss_nothing(
    service: Service, twin: Service, connect: Connect, room: int, user: int
) -> None:
    count, writer = 60, await writer_in(connect, service, room)

    async def write() -> None:
        for number in range(count):
            await enter(writer, str(number))

    async def follow(where: Service, least: int) -> list[str]:
        found: list[str] = []
        last: dict[str, str] = {"Last-Event-ID": "0"}
        while len(found) < count:
            async with following(where.http, f"rooms/{room}", user=user, headers=last) as source:
                for _ in range(least):
                    if len(found) < count and (event := await source.receive()).event == "entry":
                        assert event.id is not None
                        found.append(event.id)
                        last["Last-Event-ID"] = event.id
        return found

    following_all = asyncio.gather(*(follow(where, least) for where in (service, twin) for least in (2, 5, 17)))
    await write()
    for found in await following_all:
        assert found == [str(number + 1) for number in range(count)]


async def test_a_client_of_http_1_0_gets_no_chunks_and_its_end_is_the_connections(
    start_service: StartService, user: int
) -> None:
    service = start_service(DRAIN_SECONDS="0")
    name = f"letters/{user}"
    async with opened(service) as wire, http_client(service.http) as http:
        await wire.send(asking(name, user, version="1.0"))
        head = await wire.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"transfer-encoding" not in head
        await wire.until(b'id: 0\nevent: caught_up\ndata: {"type":"caught_up","seq":0}\n\n')
        await send_letter(http, user, {"text": "plain"})
        assert (await wire.until(b"\n\n")).startswith(b"id: 1\nevent: letter\ndata: {")
        service.terminate()
        assert (await wire.until(b"\n\n")).startswith(b"retry: ")
        await wire.ends()


async def test_what_is_asked_after_it_is_not_answered_and_hides_no_goodbye(
    start_service: StartService, user: int
) -> None:
    service = start_service()
    async with opened(service) as wire:
        await wire.send(asking(f"letters/{user}", user), request(), handshake())
        await wire.until(b'"caught_up"')
        await wire.send(request(), b"GET /half")
        await eventually(lambda: connections(service) == 1, "it is counted")
    await eventually(lambda: connections(service) == 0, "it is noticed that the client has gone")


async def test_a_refusal_lets_the_connection_be_used_again(service: Service, user: int) -> None:
    async with opened(service) as wire:
        await wire.send(asking(f"letters/{user + 1}", user), request())
        assert (await wire.answer()).problem == (403, "forbidden")
        assert (await wire.answer()).status == 200


def asking(name: str, user: int, version: str = "1.1") -> bytes:
    target = f"/api/streams/{name}/events"
    return request("GET", target, f"Authorization: Bearer {token(user)}", version=version)


def connections(service: Service) -> int:
    for line in service.get("/metrics").text.splitlines():
        if line.startswith("websocket_connections "):
            return round(float(line.partition(" ")[2]))
    return -1
