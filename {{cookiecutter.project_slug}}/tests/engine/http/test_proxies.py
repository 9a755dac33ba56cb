"""What is promised holds through real proxies too, configured as our guide says."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.engine.http.proxies import RealProxy, in_front_of
from tests.engine.http.wire import answer_to, handshake, line_of, opened, request
from tests.engine.kit.client import connected, refused
from tests.engine.kit.event_source import following
from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token
from tests.engine.kit.waiting import eventually
from tests.engine.rooms import enter

PROGRAMS = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("nginx", "haproxy", "caddy")]
CORKED = 0.2
CONNECTIONS, REQUESTS_OF_EACH = 5, 8
CLOSES_SOON = {
    "nginx": {"keepalive_timeout 60s": "keepalive_timeout 200ms"},
    "haproxy": {"pool-purge-delay 5s": "pool-purge-delay 50ms"},
    "caddy": {"keepalive 60s": "keepalive 200ms"},
}
TAKES_UPGRADE_AWAY = {
    "nginx": {"proxy_set_header Upgrade $http_upgrade;": "", "Connection $hop;": 'Connection "";'},
    "nginx by its defaults": {
        "proxy_http_version 1.1;": "",
        "proxy_set_header Upgrade $http_upgrade;": "",
        "proxy_set_header Connection $hop;": "",
    },
    "haproxy": {"option forwardfor": "http-request del-header Upgrade"},
    "caddy": {"respond 404": "request_header -Upgrade\n    respond 404"},
}


@pytest.fixture(scope="module")
def service(shared_service: StartService) -> Service:
    return shared_service(LOG_LEVEL="DEBUG")


@pytest.fixture(scope="module")
def impatient(shared_service: StartService) -> Service:
    """Keeps a connection for less long than any proxy."""
    return shared_service(KEEP_ALIVE="0.2")


@pytest.fixture(scope="module", params=PROGRAMS)
def proxy(
    request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RealProxy]:
    with in_front_of(service, request.param, tmp_path_factory.mktemp("proxies")) as running:
        yield running


async def ticket_of(proxy: RealProxy, user: int) -> str:
    async with http_client(proxy.http) as http:
        answer = await http.post("/api/tickets", headers=bearer(user))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ticket"])


async def test_a_socket_is_let_in_by_each_way_of_its_token(proxy: RealProxy, room: int, user: int) -> None:
    ways: list[dict[str, Any]] = [
        {"user": user},
        {"subprotocols": [f"bearer.{token(user)}", "live.v1"]},
        {"token": token(user)},
        {"ticket": await ticket_of(proxy, user)},
    ]
    for way in ways:
        async with connected(proxy.ws, f"/ws/rooms/{room}", origin=proxy.http, **way) as client:
            assert client.websocket.subprotocol == ("live.v1" if "subprotocols" in way else None)
            await client.lives()


async def test_a_refusal_comes_through_whole(proxy: RealProxy) -> None:
    refusal = await refused(proxy.ws, "/ws/letters", user=7, origin="http://evil.example")
    assert refusal.reason == (403, "forbidden_origin", 1008)
    assert (await refused(proxy.ws, "/ws/letters")).reason == (401, "missing_token", 1008)


async def test_close_codes_come_through_both_ways(
    service: Service, proxy: RealProxy, room: int, number: Number
) -> None:
    path = f"/ws/rooms/{room}"
    for message, ending in ((b"binary", 1003), ("x" * 65_537, 1009)):
        async with connected(proxy.ws, path, user=number()) as client:
            await client.send_raw(message)
            assert (await client.closed())[0] == ending
    async with connected(proxy.ws, path, user=(user := number())) as client:
        async with http_client(proxy.http) as http:
            rights = bearer(1, scope="connections:write")
            assert (await http.post(f"/api/users/{user}/disconnect", headers=rights)).is_success
        assert (await client.closed())[0] == 1008
    left = f"/ws/rooms/{number()}"
    async with connected(proxy.ws, left, user=number()) as client:
        await client.websocket.close(4001)
    assert (await line_of(service, event="connection_closed", path=left))["code"] == 4001


async def test_an_event_comes_at_once_while_its_answer_goes_on(proxy: RealProxy, room: int, user: int) -> None:
    """A proxy may keep it back until a buffer is full, or (HAProxy) for the 0.2 s of a corked socket."""
    seconds = [CORKED]
    async with (
        connected(proxy.ws, f"/ws/rooms/{room}", user=user) as writer,
        following(proxy.http, f"rooms/{room}", user=user) as source,
    ):
        assert (await source.receive()).event == "caught_up"
        while len(seconds) < 20 and min(seconds) >= CORKED:
            started = monotonic()
            await enter(writer, "x")
            assert (await source.receive()).data["body"] == "x"
            seconds.append(monotonic() - started)
    assert min(seconds) < CORKED


async def test_lines_carry_the_address_of_the_client_whatever_it_says(
    service: Service, proxy: RealProxy, room: int, number: Number
) -> None:
    client, said = "127.0.0.2", "X-Forwarded-For: 192.0.2.7"
    path = f"/api/nothing-{number()}"
    assert (await answer_to(proxy, request("GET", path, said), source=client)).status == 404
    assert (await line_of(service, event="request", path=path))["client"] == client
    async with opened(proxy, source=client) as wire:
        await wire.send(handshake(f"/ws/rooms/{room}", said))
        assert (await wire.answer()).status == 101
        await wire.lives()
    for event in ("connection_opened", "connection_closed"):
        assert (await line_of(service, event=event, path=f"/ws/rooms/{room}"))["client"] == client


async def test_what_clients_do_not_need_is_not_forwarded(proxy: RealProxy) -> None:
    for path in ("/metrics", "/readyz", "/docs", "/healthz/", "/"):
        assert (await answer_to(proxy, request("GET", path))).status == 404


@pytest.mark.parametrize("closes_first", ["proxy", "service"])
@pytest.mark.parametrize("program", PROGRAMS)
async def test_kept_connections_cost_no_request(
    service: Service, impatient: Service, tmp_path: Path, program: str, closes_first: str
) -> None:
    """Each connection of the proxy's serves several requests, and the next comes when one of the two has closed it."""
    behind, changes = (service, CLOSES_SOON[program]) if closes_first == "proxy" else (impatient, {})
    kept = []
    with in_front_of(behind, program, tmp_path, changes) as proxy:
        async with http_client(proxy.http, headers=bearer(7)) as http:
            for _ in range(CONNECTIONS):
                await eventually(lambda: proxy.kept() == 0, f"the {closes_first} has closed it", within=3)
                answers = [await http.post("/api/tickets") for _ in range(REQUESTS_OF_EACH)]
                assert [answer.status_code for answer in answers] == [200] * REQUESTS_OF_EACH
                kept.append(proxy.kept())
    assert max(kept) == 1


@pytest.mark.parametrize(
    ("program", "changes"),
    [
        pytest.param(name.split()[0], changes, id=name, marks=pytest.mark.needs(name.split()[0]))
        for name, changes in TAKES_UPGRADE_AWAY.items()
    ],
)
async def test_a_proxy_that_takes_upgrade_away_is_named_by_426(
    service: Service, tmp_path: Path, program: str, changes: dict[str, str]
) -> None:
    with in_front_of(service, program, tmp_path, changes) as proxy:
        answer = await answer_to(proxy, handshake())
    assert answer.problem == (426, "upgrade_required")
    assert "proxy" in answer.message
