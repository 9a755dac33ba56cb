"""What an operator must see: who came from where, who was refused and why, and that nobody more can come."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import psutil
import pytest
from pydantic import ValidationError

from service.engine.foundation.settings import Settings
from tests.engine.http.wire import Wire, answer_to, handshake, line_of, opened, request
from tests.engine.kit.commands import PROJECT
from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

SPARE = 4
SECRET = token(7)


@pytest.fixture(scope="module")
def trusting(shared_service: StartService) -> Service:
    """Behind two proxies, the nearer one on this machine."""
    return shared_service(FORWARDED_ALLOW_IPS="127.0.0.1, 10.0.0.0/8", LOG_LEVEL="DEBUG")


@pytest.fixture(scope="module")
def distrusting(shared_service: StartService) -> Service:
    return shared_service(FORWARDED_ALLOW_IPS="10.0.0.0/8", LOG_LEVEL="DEBUG")


@asynccontextmanager
async def connected(service: Service, data: bytes) -> AsyncIterator[Wire]:
    async with opened(service) as wire:
        await wire.send(data)
        assert (await wire.answer()).status == 101
        yield wire


# Who is refused


async def test_a_refused_handshake_names_path_origin_and_host(service: Service, number: Number) -> None:
    host = f"chat{number()}.example.com"
    for data, code in (
        (handshake(f"/ws/letters?token={SECRET}", Host=host, Origin="http://evil.example"), "forbidden_origin"),
        (handshake("/ws/letters", Host=host, Origin=f"http://{host}", Authorization=None), "missing_token"),
        (handshake("/ws/nothing", Host=host, Origin=f"http://{host}"), "not_found"),
        (handshake("/ws/rooms/x", Host=host, Origin=f"http://{host}"), "invalid_request"),
    ):
        assert (await answer_to(service, data)).problem[1] == code
        line = await line_of(service, event="handshake_refused", host=host, code=code)
        assert line["origin"] == ("http://evil.example" if code == "forbidden_origin" else f"http://{host}")
        assert data.split(b" ")[1].startswith(line["path"].encode())
        assert "?" not in line["path"]
        assert line["client"] == "127.0.0.1"
        assert line["connection_id"]
    assert SECRET not in service.log()


async def test_a_handshake_that_is_none_leaves_the_same_line(service: Service, number: Number) -> None:
    """Otherwise nobody finds the proxy that takes the header away."""
    host = f"chat{number()}.example.com"
    data = handshake(f"/ws/letters?token={SECRET}", Host=host, Origin=f"https://{host}", Upgrade=None)
    assert (await answer_to(service, data)).problem == (426, "upgrade_required")
    line = await line_of(service, event="handshake_refused", host=host)
    assert (line["code"], line["status"]) == ("upgrade_required", 426)
    assert (line["path"], line["origin"]) == ("/ws/letters", f"https://{host}")
    metrics = service.get("/metrics").text
    assert 'websocket_refusals_total{reason="upgrade_required"}' in metrics
    assert SECRET not in service.log()


async def test_a_handshake_without_an_origin_has_none_in_its_line(service: Service, number: Number) -> None:
    host = f"chat{number()}.example.com"
    await answer_to(service, handshake(Host=host, Authorization=None))
    assert "origin" not in await line_of(service, event="handshake_refused", host=host)


async def test_a_refused_request_names_them_too(service: Service, number: Number) -> None:
    host = f"chat{number()}.example.com"
    await answer_to(service, request("GET", f"/api/letters?token={SECRET}", "Origin: https://evil.example", host=host))
    line = await line_of(service, event="request", host=host)
    assert (line["path"], line["origin"], line["status"]) == ("/api/letters", "https://evil.example", 401)
    assert SECRET not in service.log()


@pytest.mark.parametrize("header", ["Host", "Origin"])
async def test_a_line_holds_no_token_and_no_other_line(service: Service, number: Number, header: str) -> None:
    """Whatever a client calls itself."""
    path = f"/nothing-{number()}"
    changed: dict[str, Any] = {header: f"bearer.{SECRET}" if header == "Origin" else SECRET}
    await answer_to(service, handshake(f'{path}?"x"', **changed))
    await line_of(service, event="handshake_refused", path=path)
    assert SECRET not in service.log()
    assert max(map(len, service.log().splitlines())) < 5000


async def test_what_could_not_be_read_leaves_a_line(service: Service) -> None:
    before = service.log().count('"request_refused"')
    await answer_to(service, b"nonsense\r\n\r\n")
    lines = [line for line in service.log_lines() if line["event"] == "request_refused"]
    assert len(lines) == before + 1
    assert (lines[-1]["status"], lines[-1]["client"]) == (400, "127.0.0.1")


# Who it was


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], "127.0.0.1"),
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7:1234"], "192.0.2.7"),
        (["[2001:db8::7]:1234"], "2001:db8::7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["192.0.2.7, 10.1.2.3"], "192.0.2.7"),
        (["192.0.2.7", "10.1.2.3"], "192.0.2.7"),
        (["6.6.6.6, 192.0.2.7, 10.1.2.3"], "192.0.2.7"),
        (["192.0.2.7, 6.6.6.6"], "6.6.6.6"),
    ],
)
async def test_lines_carry_the_address_before_the_trusted_proxies(
    trusting: Service, number: Number, forwarded: list[str], client: str
) -> None:
    lines = [f"X-Forwarded-For: {each}" for each in forwarded]
    room, path = number(), f"/nothing-{number()}"
    await answer_to(trusting, request("GET", path, *lines))
    assert (await line_of(trusting, event="request", path=path))["client"] == client
    await answer_to(trusting, handshake(path, *lines))
    assert (await line_of(trusting, event="handshake_refused", path=path))["client"] == client
    async with connected(trusting, handshake(f"/ws/rooms/{room}", *lines)) as wire:
        await wire.lives()
    for event in ("connection_opened", "connection_closed"):
        assert (await line_of(trusting, event=event, path=f"/ws/rooms/{room}"))["client"] == client


async def test_what_anybody_else_says_of_addresses_is_not_believed(distrusting: Service, number: Number) -> None:
    path = f"/nothing-{number()}"
    await answer_to(distrusting, request("GET", path, "X-Forwarded-For: 192.0.2.7"))
    assert (await line_of(distrusting, path=path))["client"] == "127.0.0.1"


async def test_by_default_a_proxy_on_this_machine_is_believed(service: Service, number: Number) -> None:
    path = f"/nothing-{number()}"
    await answer_to(service, request("GET", path, "X-Forwarded-For: 192.0.2.7, 10.1.2.3"))
    assert (await line_of(service, path=path))["client"] == "10.1.2.3"


async def test_a_connection_keeps_no_address_of_the_request_before(trusting: Service, number: Number) -> None:
    """A proxy sends the requests of many clients on one connection."""
    paths = [f"/nothing-{number()}" for _ in range(3)]
    room = number()
    async with opened(trusting) as wire:
        await wire.send(
            request("GET", paths[0], "X-Forwarded-For: 192.0.2.1"),
            request("GET", paths[1], "X-Forwarded-For: 192.0.2.2"),
            request("GET", paths[2]),
            handshake(f"/ws/rooms/{room}", "X-Forwarded-For: 192.0.2.3"),
        )
        assert [(await wire.answer()).status for _ in range(4)] == [404, 404, 404, 101]
    found = [(await line_of(trusting, event="request", path=path))["client"] for path in paths]
    assert found == ["192.0.2.1", "192.0.2.2", "127.0.0.1"]
    assert (await line_of(trusting, event="connection_closed", path=f"/ws/rooms/{room}"))["client"] == "192.0.2.3"


async def test_an_ipv4_address_is_one_on_a_socket_for_both(shared_service: StartService, number: Number) -> None:
    both = shared_service(HOST="::")
    path = f"/nothing-{number()}"
    await answer_to(both, request("GET", path))
    await answer_to(both, request("GET", path + "-forwarded", "X-Forwarded-For: 192.0.2.7"))
    assert (await line_of(both, path=path))["client"] == "127.0.0.1"
    assert (await line_of(both, path=path + "-forwarded"))["client"] == "192.0.2.7", "and its proxy is trusted"


@pytest.mark.parametrize("given", ["nonsense", "10.0.0.1/8", "10.0.0.0/33", "10.0.0", "127.0.0.1, localhost", "*.*"])
def test_a_proxy_that_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        Settings(forwarded_allow_ips=given)


@pytest.mark.parametrize("given", ["127.0.0.1", "10.0.0.0/8, 192.0.2.1", "2001:db8::/32, ::1", "*"])
def test_addresses_networks_and_all_are_allowed(given: str) -> None:
    assert Settings(forwarded_allow_ips=given).forwarded_allow_ips == tuple(given.split(", "))


# Nobody more can come


async def test_descriptors_that_run_out_are_said_and_survived(start_service: StartService) -> None:
    service = start_service()
    (worker,) = service.workers()
    limits = worker.rlimit(psutil.RLIMIT_NOFILE)
    async with connected(service, handshake()) as first:
        allowed = worker.num_fds() + SPARE
        worker.rlimit(psutil.RLIMIT_NOFILE, (allowed, limits[1]))
        async with AsyncExitStack() as taken:
            dropped = 0
            while dropped < 20:
                wire = await taken.enter_async_context(opened(service))
                try:
                    await wire.send(request())
                    assert (await wire.answer()).status == 200
                except (ConnectionError, EOFError):
                    dropped += 1
            line = await line_of(service, event="file_descriptors_exhausted")
            assert (line["level"], line["limit"]) == ("critical", allowed)
            await first.lives()
        worker.rlimit(psutil.RLIMIT_NOFILE, limits)
        assert (await answer_to(service, request())).status == 200
        await first.lives()
    assert worker.is_running()


MAKE_ROOM = """
import resource
from service.engine.observability.descriptors import make_room_for
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 600))
for connections in (10, 200, 10_000):
    make_room_for(connections)
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_process_takes_as_many_as_its_connections_need_and_says_when_it_may_not() -> None:
    command = [sys.executable, "-c", MAKE_ROOM]
    run = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    first, second, warning, third = run.stdout.splitlines()
    assert [first, second, third] == ["(266, 600)", "(456, 600)", "(600, 600)"]
    assert "few_file_descriptors" in warning
    assert "limit=600" in warning
