"""Nothing of a connection outlives it, and nothing waits for the garbage collector, whose passes delay all others."""

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from service.engine.application import application
from service.engine.connection.session import ClientSession
from service.engine.link.asgi_adapter import AsgiAdapter
from service.engine.link.socket_link import SocketLink
from service.engine.link.uvicorn_http import BoundedHttpProtocol
from tests.engine.application.endpoints import faulty
from tests.engine.kit.in_process import serving
from tests.engine.kit.raw import CLOSE, TEXT, RawClient, frame
from tests.engine.kit.waiting import eventually

OF_A_CONNECTION = (AsgiAdapter, BoundedHttpProtocol, ClientSession, SocketLink)


@pytest.fixture
def without_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(application, "configure_logging", lambda _settings: None)  # it is this process's
    gc.collect()
    gc.disable()
    structlog.configure(processors=[_drop])  # what is printed keeps the frames of a traceback
    yield
    structlog.reset_defaults()
    gc.enable()


def _drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


def left() -> list[Any]:
    return [each for each in gc.get_objects() if isinstance(each, OF_A_CONNECTION)]


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize("way", ["a close", "an end", "a breach", "a bug", "a refusal", "nothing of the kind"])
async def test_nothing_is_left(way: str) -> None:
    path = {"a bug": "/ws/bug", "a refusal": "/ws/problem-at-the-door"}.get(way, "/ws/echo")
    async with serving(faulty.router) as (port, state):
        for _ in range(3):
            async with RawClient.unshaken(port) as client:
                try:
                    await client.shake_hands(port, path, "")
                except AssertionError:
                    assert way == "a refusal"
                    continue
                await client.send_frame(TEXT, b"hello")
                if way != "a bug":
                    await client.read_frame()
                if way == "a close":
                    await client.send(frame(CLOSE, b"\x03\xe8"))
                elif way == "a breach":
                    await client.send(frame(TEXT, b"", reserved=7))
                elif way == "an end":
                    client.reset()
                    continue
                if way != "nothing of the kind":
                    await client.close_code()
        await eventually(lambda: not state.connections and not state.tasks, "all connections have ended")
        await eventually(lambda: not left(), "nothing of them is left", within=1)
