"""The AsyncAPI document is valid, complete, and what is really on the wire."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import ValidationError
from starlette.routing import WebSocketRoute

from service.engine.link.codec import Control
from tests.engine.application.app import application
from tests.engine.kit.client import Client
from tests.engine.kit.commands import Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.javascript import npm_package, run_node
from tests.engine.kit.running import Service
from tests.engine.kit.schemas import Channel, channel_at
from tests.engine.kit.tokens import bearer, token

PARSER = "@asyncapi/parser@3.6.3"
PARSER_INTEGRITY = "sha512-MUC8xIUMcS2qNvqrqyx/ie0txu3d/OdIsrXs7UCzawdyR6P07gh35DpOqPz/z57s1UA3vERVpcheZYl3h8cVtw=="
ERROR, WARNING = 0, 1


HERE = Path(__file__).parent


@pytest.fixture
def spec(service: Service) -> dict[str, Any]:
    """The document, with the demo endpoints."""
    return service.asyncapi


def at(service: Service, path: str) -> Channel:
    channel = channel_at(service.ws, path)
    assert channel is not None, path
    return channel


def test_the_command_prints_the_document_that_is_served(service: Service, commands: Commands) -> None:
    printed = commands.run_here("asyncapi")
    assert printed.returncode == 0, printed.stderr
    served = service.get("/asyncapi.json")
    assert json.loads(printed.stdout) == served.json()
    assert served.headers["content-type"] == "application/json"


@pytest.mark.needs("npm")
def test_the_official_parser_accepts_it(spec: dict[str, Any], tmp_path: Path) -> None:
    parser = npm_package(PARSER, PARSER_INTEGRITY, tmp_path) / "browser" / "index.js"
    (tmp_path / "asyncapi.json").write_text(json.dumps(spec))
    found = run_node(HERE / "parse_asyncapi.cjs", parser, tmp_path / "asyncapi.json")
    assert [problem for problem in found if problem["severity"] in {ERROR, WARNING}] == []

    (tmp_path / "wrong.json").write_text(json.dumps(spec | {"channels": {"a": {"address": 7}}}))
    found = run_node(HERE / "parse_asyncapi.cjs", parser, tmp_path / "wrong.json")
    assert any(problem["severity"] == ERROR for problem in found), "the parser does not look"


def test_every_websocket_route_is_in_it(spec: dict[str, Any]) -> None:
    routers = application.routers(demo_endpoints=True)
    routes = {route.path for router in routers for route in router.routes if isinstance(route, WebSocketRoute)}
    assert {"/ws/rooms/{room_id}", "/ws/ping", "/ws/echo", "/ws/json"} <= routes
    streams = {stream.name for stream in application.streams}
    assert {channel["address"] for channel in spec["channels"].values()} == routes | streams


def test_the_demo_endpoints_are_left_out_where_they_are_off(spec: dict[str, Any], commands: Commands) -> None:
    without = json.loads(commands.run_here("asyncapi", DEMO_ENDPOINTS="false").stdout)["channels"]
    assert spec["channels"].keys() - without.keys() == {"ws_echo", "ws_json"}
    assert without.keys() <= spec["channels"].keys()


def test_every_message_and_field_is_explained(spec: dict[str, Any]) -> None:
    for channel in spec["channels"].values():
        assert channel["description"]
    for name, message in spec["components"]["messages"].items():
        assert message["summary"], name


def test_endpoints_that_need_a_token_say_so(spec: dict[str, Any]) -> None:
    secured = {
        spec["channels"][name.rpartition(".")[0]]["address"]: bool(operation["security"])
        for name, operation in spec["operations"].items()
    }
    expected = {"/ws/rooms/{room_id}", "/ws/letters", "/ws/clubs/{club_id}", "/ws/profile", "/ws/glutton", "/ws/ping"}
    expected |= {"/ws/streams", *(stream.name for stream in application.streams)}
    assert {address for address, is_secured in secured.items() if is_secured} == expected


def test_an_endpoint_that_needs_a_scope_says_so(spec: dict[str, Any]) -> None:
    assert "profile:read" in spec["channels"]["ws_profile"]["description"]


def test_an_endpoint_that_takes_no_messages_documents_the_control_messages_alone(spec: dict[str, Any]) -> None:
    taken = {reference["$ref"].rpartition("/")[2] for reference in spec["operations"]["ws_ping.receive"]["messages"]}
    assert taken == {kind.__name__ for kind in get_args(Control)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "entry_created", "entry_id": 1},
        {"type": "entry_created", "entry_id": 1, "seq": 0},
        {"type": "entry_created", "entry_id": 1, "seq": 1, "client_id": None},
        {"type": "entry_created", "entry_id": 1, "seq": 1, "more": 1},
        {"type": "new_entry", "body": "sent by clients only"},
        {"type": "unheard_of"},
        {},
    ],
)
def test_what_is_not_documented_does_not_pass(spec: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Channel(spec, "ws_rooms_room_id").check_sent(wrong)


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


async def test_every_message_of_rooms_fits_and_is_heard(start_service: StartService, connect: Connect) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0.3", HEARTBEAT_TIMEOUT="5", DRAIN_SECONDS="0.2")
    path, heard = "/ws/rooms/1", set[str]()
    channel = at(service, path)
    client = await connect(service, path, user=1, after=0)
    writer = Conversation(client, channel, heard)
    reader = Conversation(await connect(service, path, user=2), channel, heard)
    await writer.hear("caught_up")
    await writer.say({"type": "ping"}, expect="pong")
    await writer.say({"type": "new_entry", "body": "a", "client_id": "1"}, expect="entry_created")
    await writer.say({"type": "new_entry", "body": "b"}, expect="entry_created")
    await writer.say({"type": "authenticate", "token": token(1, ttl=7200)}, expect="authenticated")
    await writer.hear("ping")
    await client.send({"type": "new_entry"})
    await writer.hear("error")
    await reader.hear("entry")
    service.database.execute("insert into streams (name, last_seq) values ('rooms/2', 2000)")
    late = await connect(service, "/ws/rooms/2", user=3, after=0)
    await Conversation(late, channel, heard).hear("history_gap")
    service.terminate()
    writer.note((await client.ending()).messages)
    assert heard == channel.types_sent


async def test_every_message_of_letters_fits_and_is_heard(start_service: StartService, connect: Connect) -> None:
    service = start_service(HEARTBEAT_INTERVAL="0.3", HEARTBEAT_TIMEOUT="5", DRAIN_SECONDS="0.2")
    path, heard = "/ws/letters", set[str]()
    channel = at(service, path)
    client = await connect(service, path, user=1, after=0)
    user = Conversation(client, channel, heard)
    await user.hear("caught_up")
    await user.say({"type": "ping"}, expect="pong")
    async with http_client(service.http) as http:
        body = {"user_id": 1, "data": {"a": [1, None, {"b": 0.5}]}}
        answer = await http.post("/api/letters", json=body, headers=bearer(9, scope="letters:write"))
        assert answer.status_code == 201
    await user.hear("letter")
    channel.check_taken({"type": "ack", "seq": 1})
    await client.send({"type": "ack", "seq": 1})
    await user.say({"type": "authenticate", "token": token(1, ttl=7200)}, expect="authenticated")
    await user.hear("ping")
    await client.send({"type": "nonsense"})
    await user.hear("error")
    service.database.execute("insert into streams (name, last_seq) values ('letters/2', 2000)")
    await Conversation(await connect(service, path, user=2, after=0), channel, heard).hear("history_gap")
    service.terminate()
    user.note((await client.ending()).messages)
    assert heard == channel.types_sent


async def test_what_the_demo_endpoints_say_fits(service: Service, connect: Connect) -> None:
    json_client = await connect(service, "/ws/json")
    for said in (None, 1, "text", [1, {}], {"a": 1}):
        at(service, "/ws/json").check_taken(said)
        at(service, "/ws/json").check_sent(await json_client.ask(said))
    echo = await connect(service, "/ws/echo")
    await echo.send_raw("hello")
    at(service, "/ws/echo").check_sent(await echo.receive_raw())


def test_the_document_has_a_channel_for_each_path(service: Service) -> None:
    """By which clients of these tests find what they hold against it."""
    for path in ("/ws/echo", "/ws/rooms/7?after=1"):
        assert channel_at(service.ws, path) is not None
    for path in ("/ws/other", "/ws/rooms/7/more"):
        assert channel_at(service.ws, path) is None
    assert channel_at("ws://elsewhere", "/ws/echo") is None
