"""HEAD is answered wherever GET is, without the body (RFC 9110 §9.3.2)."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.engine.endpoints.http import HeadAsGet
from tests.engine.http.wire import handshake, line_of, opened, request
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer

READABLE = ["/healthz", "/readyz", "/metrics", "/client.js", "/docs", "/openapi.json", "/asyncapi.json", "/"]


@pytest.mark.parametrize("path", READABLE)
async def test_what_can_be_read_has_a_head(http: httpx.AsyncClient, path: str) -> None:
    whole, head = await http.get(path), await http.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    varying = {"date", "content-length"} if path == "/metrics" else {"date"}
    assert {name: value for name, value in head.headers.items() if name not in varying} == {
        name: value for name, value in whole.headers.items() if name not in varying
    }


async def test_a_head_of_a_problem_is_that_of_the_problem(http: httpx.AsyncClient) -> None:
    for path, status in {"/nothing": 404, "/api/rooms/1/entries": 401, "/ws/letters": 426, "/api/bug": 500}.items():
        whole, head = await http.get(path), await http.head(path)
        assert (whole.status_code, head.status_code, head.content) == (status, status, b"")
        assert head.headers["content-length"] == str(len(whole.content))


async def test_a_head_opens_no_websocket(service: Service) -> None:
    async with opened(service) as wire:
        await wire.send(handshake(method="HEAD"), request())
        assert (await wire.answer(to="HEAD")).status == 426
        assert (await wire.answer()).status == 200


async def test_the_connection_goes_on_after_a_head(service: Service) -> None:
    async with opened(service) as wire:
        for method in ("HEAD", "GET", "HEAD", "GET"):
            await wire.send(request(method))
            assert (await wire.answer(to=method)).status == 200


async def test_what_cannot_be_read_has_no_head_and_says_so(http: httpx.AsyncClient) -> None:
    refused = await http.head("/api/tickets")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert (await http.post("/healthz")).headers["allow"] == "GET, HEAD"


async def test_a_head_is_counted_and_logged_as_one(service: Service, http: httpx.AsyncClient, room: int) -> None:
    path = f"/api/rooms/{room}/entries"
    assert (await http.head(path, headers=bearer(1))).status_code == 200
    assert (await line_of(service, path=path))["method"] == "HEAD"
    metrics = (await http.get("/metrics")).text
    assert 'method="HEAD",route="/api/rooms/{room_id}/entries"' in metrics


async def test_the_head_of_what_never_ends_does_end() -> None:
    """An endpoint may send events for ever. Its head is that of its GET, and nobody waits for the rest."""

    async def for_ever(_scope: Scope, _receive: Receive, send: Send) -> None:
        async def events() -> Any:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0.01)

        await StreamingResponse(events(), media_type="text/event-stream")(_scope, _receive, send)

    sent: list[Message] = []
    ended = asyncio.Event()

    async def receive() -> Message:
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            ended.set()

    scope = {"type": "http", "method": "HEAD", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}}
    async with asyncio.timeout(5):
        await HeadAsGet(for_ever)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert scope["method"] == "HEAD"
