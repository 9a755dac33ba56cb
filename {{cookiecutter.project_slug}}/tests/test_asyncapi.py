"""The AsyncAPI document is valid, complete, and what is really on the wire."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import ValidationError
from starlette.routing import WebSocketRoute

from service.endpoints import routers
from tests.client import Client
from tests.commands import PROJECT, run_here
from tests.conftest import Connect, StartService
from tests.javascript import npm_package, run_node
from tests.running import Service
from tests.schemas import Channel, channel_at, channels, spec
from tests.tokens import bearer, token

PARSER = "@asyncapi/parser@3.6.3"
PARSER_INTEGRITY = "sha512-MUC8xIUMcS2qNvqrqyx/ie0txu3d/OdIsrXs7UCzawdyR6P07gh35DpOqPz/z57s1UA3vERVpcheZYl3h8cVtw=="
ERROR, WARNING = 0, 1


def at(path: str) -> Channel:
    channel = channel_at(path)
    assert channel is not None, path
    return channel


def test_the_command_prints_the_document_that_is_served(service: Service) -> None:
    printed = run_here("asyncapi")
    assert printed.returncode == 0, printed.stderr
    served = service.get("/asyncapi.json")
    assert json.loads(printed.stdout) == served.json() == spec()
    assert served.headers["content-type"] == "application/json"


@pytest.mark.needs("npm")
def test_the_official_parser_accepts_it(tmp_path: Path) -> None:
    parser = npm_package(PARSER, PARSER_INTEGRITY, tmp_path) / "browser" / "index.js"
    (tmp_path / "asyncapi.json").write_text(json.dumps(spec()))
    found = run_node(PROJECT / "tests" / "parse_asyncapi.cjs", parser, tmp_path / "asyncapi.json")
    assert [problem for problem in found if problem["severity"] in {ERROR, WARNING}] == []

    (tmp_path / "wrong.json").write_text(json.dumps(spec() | {"channels": {"a": {"address": 7}}}))
    found = run_node(PROJECT / "tests" / "parse_asyncapi.cjs", parser, tmp_path / "wrong.json")
    assert any(problem["severity"] == ERROR for problem in found), "the parser does not look"


def test_every_websocket_route_is_in_it() -> None:
    routes = {
        route.path for router in routers(demo=True) for route in router.routes if isinstance(route, WebSocketRoute)
    }
    assert {channel["address"] for channel in spec()["channels"].values()} == routes


def test_the_demo_endpoints_are_left_out_where_they_are_off() -> None:
    addresses = {
        channel["address"]
        for channel in json.loads(run_here("asyncapi", DEMO_ENDPOINTS="false").stdout)["channels"].values()
    }
    assert addresses == {"/ws/live-comments/{post_id}", "/ws/notifications"}


def test_every_message_and_field_is_explained() -> None:
    for channel in spec()["channels"].values():
        assert channel["description"]
    for name, message in spec()["components"]["messages"].items():
        assert message["summary"], name


def test_endpoints_that_need_a_token_say_so() -> None:
    secured = {
        spec()["channels"][name.rpartition(".")[0]]["address"]: bool(operation["security"])
        for name, operation in spec()["operations"].items()
    }
    assert secured == {
        "/ws/live-comments/{post_id}": True,
        "/ws/notifications": True,
        "/ws/echo": False,
        "/ws/json": False,
    }


def test_the_guide_to_the_protocol_and_the_document_name_the_same_messages() -> None:
    guide = (PROJECT / "docs" / "protocol.md").read_text()
    examples = set(re.findall(r'{"type":\s*"(\w+)"', guide))
    messages = spec()["components"]["messages"].values()
    assert examples == {message["name"] for message in messages if "$ref" in message["payload"]} - {"Received"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "comment_created", "comment_id": 1},
        {"type": "comment_created", "comment_id": 1, "seq": 0},
        {"type": "comment_created", "comment_id": 1, "seq": 1, "client_id": None},
        {"type": "comment_created", "comment_id": 1, "seq": 1, "more": 1},
        {"type": "new_comment", "body": "sent by clients only"},
        {"type": "unheard_of"},
        {},
    ],
)
def test_what_is_not_documented_does_not_pass(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Channel("ws_live_comments_post_id").check_sent(wrong)


class Conversation:
    """Says and hears through one client, and holds everything against the document."""

    def __init__(self, client: Client, channel: Channel, heard: set[str]) -> None:
        self._client = client
        self._channel = channel
        self._heard = heard

    async def say(self, message: dict[str, Any], *, expect: str) -> None:
        self._channel.check_taken(message)
        await self._client.send(message)
        await self.hear(expect)

    async def hear(self, expected: str) -> None:
        self.note(await self._client.receive_until(expected))

    def note(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            self._channel.check_sent(message)
            self._heard.add(message["type"])


async def test_every_message_of_live_comments_fits_and_is_heard(start_service: StartService, connect: Connect) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0.3", HEARTBEAT_TIMEOUT="5", DRAIN_SECONDS="0.2")
    path, heard = "/ws/live-comments/1", set[str]()
    channel = at(path)
    client = await connect(service, path, user=1, after=0)
    writer = Conversation(client, channel, heard)
    reader = Conversation(await connect(service, path, user=2), channel, heard)
    await writer.hear("caught_up")
    await writer.say({"type": "ping"}, expect="pong")
    await writer.say({"type": "new_comment", "body": "a", "client_id": "1"}, expect="comment_created")
    await writer.say({"type": "new_comment", "body": "b"}, expect="comment_created")
    await writer.say({"type": "authenticate", "token": token(1, ttl=7200)}, expect="authenticated")
    await writer.hear("ping")
    await client.send({"type": "new_comment"})
    await writer.hear("error")
    await reader.hear("comment")
    service.database.execute("insert into streams (name, last_seq) values ('comments:2', 2000)")
    late = await connect(service, "/ws/live-comments/2", user=3, after=0)
    await Conversation(late, channel, heard).hear("history_gap")
    service.terminate()
    writer.note((await client.ending()).messages)
    assert heard == channel.types_sent


async def test_every_message_of_notifications_fits_and_is_heard(start_service: StartService, connect: Connect) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0.3", HEARTBEAT_TIMEOUT="5", DRAIN_SECONDS="0.2")
    path, heard = "/ws/notifications", set[str]()
    channel = at(path)
    client = await connect(service, path, user=1, after=0)
    user = Conversation(client, channel, heard)
    await user.hear("caught_up")
    await user.say({"type": "ping"}, expect="pong")
    async with httpx.AsyncClient(base_url=service.http, trust_env=False) as http:
        body = {"user_id": 1, "data": {"a": [1, None, {"b": 0.5}]}}
        answer = await http.post("/api/notifications", json=body, headers=bearer(9, scope="notifications:write"))
        assert answer.status_code == 201
    await user.hear("notification")
    channel.check_taken({"type": "ack", "seq": 1})
    await client.send({"type": "ack", "seq": 1})
    await user.say({"type": "authenticate", "token": token(1, ttl=7200)}, expect="authenticated")
    await user.hear("ping")
    await client.send({"type": "nonsense"})
    await user.hear("error")
    service.database.execute("insert into streams (name, last_seq) values ('notifications:2', 2000)")
    await Conversation(await connect(service, path, user=2, after=0), channel, heard).hear("history_gap")
    service.terminate()
    user.note((await client.ending()).messages)
    assert heard == channel.types_sent


async def test_what_the_demo_endpoints_say_fits(service: Service, connect: Connect) -> None:
    json_client = await connect(service, "/ws/json")
    for said in (None, 1, "text", [1, {}], {"a": 1}):
        at("/ws/json").check_taken(said)
        at("/ws/json").check_sent(await json_client.ask(said))
    echo = await connect(service, "/ws/echo")
    await echo.send_raw("hello")
    at("/ws/echo").check_sent(await echo.receive_raw())


def test_the_document_has_a_channel_for_each_path() -> None:
    assert [channel_at(path) is not None for path in ("/ws/echo", "/ws/live-comments/7?after=1", "/ws/other")] == [
        True,
        True,
        False,
    ]
    assert len(channels()) == len(spec()["channels"])
