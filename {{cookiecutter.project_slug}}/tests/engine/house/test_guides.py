"""What our guides say is so: links lead somewhere, code runs, tables are complete. Pages of your own are yours."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.engine.foundation import wire
from service.engine.foundation.endings import ENDINGS
from tests.engine.house.blank_project import apply, make
from tests.engine.kit.commands import PROJECT, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.javascript import for_node, run_node
from tests.engine.kit.javascript_client import CLIENT
from tests.engine.kit.markdown import Block, blocks, broken_links, converse, dialogues
from tests.engine.kit.postgres import Database
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

DOCS = PROJECT / "docs"
OURS = (
    *("a-stream-of-your-own", "add-an-endpoint", "commands", "delivery", "deploy", "faq", "javascript-client"),
    *("layout", "load-tests", "operations", "protocol", "recipes", "replace-the-example", "scaling", "security"),
    *("settings", "update"),
)
GUIDES = [page for name in OURS if (page := DOCS / f"{name}.md").exists()]
ALWAYS_THERE = {"/ws/ping", "/ws/echo", "/ws/json"}


def of(*languages: str) -> list[Block]:
    return [block for page in GUIDES for block in blocks(page, *languages)]


def name(block: Block) -> str:
    return f"{block.page.name}-{block.language}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda page: page.name)
def test_links_lead_somewhere(guide: Path) -> None:
    """Those into your own code and pages aside: they are yours to move."""
    assert [link for link in broken_links(guide) if "engine/" in link or is_ours(guide, link)] == []


def is_ours(guide: Path, link: str) -> bool:
    """Whether a link stays on the page, or leads to another of our guides."""
    path = link.partition("#")[0]
    return not path or (guide.parent / path).resolve() in GUIDES


@pytest.mark.parametrize("block", of("python"), ids=name)
def test_python_is_python(block: Block) -> None:
    assert ast.parse(block.text).body or ast.get_docstring(ast.parse(block.text))


@pytest.mark.parametrize("block", of("json"), ids=name)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("sh", "console"), ids=name)
def test_commands_exist(commands: Commands, block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for words in re.findall(r"^(?:\$ )?make ((?:[a-z-]+\b ?)+)", block.text, re.MULTILINE):
        assert set(words.split()) <= targets
    for command in re.findall(r"python -m service (\w+)", block.text):
        assert commands.run_here(command, "--help").returncode == 0


# The protocol


def protocol() -> str:
    return (DOCS / "protocol.md").read_text()


def test_the_close_codes_of_the_guide_are_the_engines() -> None:
    table = protocol().partition("## Close codes")[2]
    rows = re.findall(r"^\| (\d{4}) \| ([^|]*?) ?\| ([^|]*?) \|$", table, re.MULTILINE)
    assert [(int(code), reason.strip("` "), then) for code, reason, then in rows] == [
        (ending.code, ending.reason, ending.then) for ending in ENDINGS
    ]


def codes_of_problems() -> set[str]:
    """What the engine itself refuses with, on a socket or at its door."""
    source = "".join(path.read_text() for path in (PROJECT / "service" / "engine").rglob("*.py"))
    made = r'(?:unauthorized|Refusal|draining|Problem|Error|super\(\).__init__)\((?:\d{3}, |code=)?"([a-z_]+)"'
    only_http = {"internal_error"}
    return set(re.findall(made, source)) - only_http


def test_every_refusal_and_endpoint_of_the_engine_is_in_the_guide() -> None:
    assert {"missing_token", "at_capacity", "forbidden", "unavailable", "rate_limited"} <= codes_of_problems()
    assert {code for code in codes_of_problems() if f"`{code}`" not in protocol()} == set()
    assert {path for path in ALWAYS_THERE if f"`{path}`" not in protocol()} == set()


def test_every_message_of_the_engine_is_in_the_guide(service: Service) -> None:
    kinds = [kind for kind in vars(wire).values() if isinstance(kind, type) and issubclass(kind, wire.Message)]
    types = {
        kind.model_fields["type"].default for kind in kinds if "type" in kind.model_fields and kind is not wire.Typed
    }
    assert {"ping", "caught_up", "history_gap", "reconnect", "error", "authenticate"} <= types
    shown = set(re.findall(r'{"type":\s*"(\w+)"', protocol()))
    assert types - shown == set()
    documented = {message["name"] for message in service.asyncapi["components"]["messages"].values()}
    assert shown - documented == set(), "the guide shows what nobody says"


# The JavaScript client


def test_the_examples_of_the_javascript_client_run(service: Service, room: int, tmp_path: Path) -> None:
    streams, first, own_file = [block.text for block in blocks(DOCS / "javascript-client.md", "js")]
    (client,) = for_node(tmp_path, CLIENT)
    (own,) = own_files = [tmp_path / "own.js"]
    own.write_text(own_file)
    for_node(tmp_path, *own_files)
    example = tmp_path / "example.js"
    example.write_text(f"""
        globalThis.location = {{ origin: "{service.http}", href: "{service.http}/" }};
        import {{ entriesOf }} from "/own.js";
        const [token, show, showState] = ["{token(1)}", () => {{}}, () => {{}}];
        const tokenOfMyUser = () => token;
        {first.replace("/rooms/1", f"/rooms/{room}")}
        const other = {{ room: {room}, token: "{token(2)}", after: 0 }};
        const seen = await new Promise((onMessage) => entriesOf({{ ...other, onMessage }}));
        connection.close();
        console.log(JSON.stringify([seq, seen.seq]));
        process.exit();
    """)
    (runs,) = for_node(tmp_path, example)
    assert client.exists()
    assert run_node(runs) == [1, 1]

    example.write_text(f"""
        globalThis.location = {{ origin: "{service.http}" }};
        const {{ promise: shown, resolve: show }} = Promise.withResolvers();
        const [tokenOfMyUser, showState] = [() => "{token(1)}", () => {{}}];
        {streams.replace("rooms/1", f"rooms/{room}").replace("room.uns", "const event = await shown; room.uns")}
        console.log(JSON.stringify([event.stream, event.seq, room.state.name]));
        process.exit();
    """)
    (runs,) = for_node(tmp_path, example)
    assert run_node(runs) == [f"rooms/{room}", 1, "closed"]


# Adding an endpoint, to a service without any


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    """A project with nothing in it but the engine and what the guide adds."""
    make(tmp_path)
    written = apply(DOCS / "add-an-endpoint.md", tmp_path)
    assert written == ["service/endpoints/shout.py", "service/app.py", "service/timing.py", "service/app.py"]
    return tmp_path


def test_the_endpoint_of_the_guide_passes_the_lint_rules(extended: Path) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "service/endpoints", "service/timing.py"]
    result = subprocess.run(command, cwd=extended, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stdout


async def test_the_endpoint_of_the_guide_does_what_it_shows_and_documents_itself(
    extended: Path, start_service: StartService, database: Database, connect: Connect
) -> None:
    service = start_service(database=database, module="service", PYTHONPATH=str(extended))
    (dialogue,) = dialogues(DOCS / "add-an-endpoint.md")
    assert len(dialogue.lines) == 4
    await converse(connect, service, dialogue)
    assert service.asyncapi["channels"]["ws_shout"]["description"] == "What you say comes back in capitals."
    assert service.asyncapi["components"]["messages"]["Say"]["summary"] == "Say something."
    assert 'operation_seconds_count{kind="message",name="/ws/shout"} 1.0' in service.get("/metrics").text
