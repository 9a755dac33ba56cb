"""What the documentation says is so: its links lead somewhere, its code runs, its example works as it stands."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.settings import Settings
from tests.commands import PROJECT, run_here
from tests.conftest import Connect, StartService
from tests.schemas import spec

PAGES = [PROJECT / "README.md", PROJECT / ".github" / "SECURITY.md", *sorted((PROJECT / "docs").glob("*.md"))]
GUIDE = PROJECT / "docs" / "add-an-endpoint.md"


@dataclass
class Block:
    """A fenced block of code."""

    page: Path
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            yield Block(page, language, text)


def of(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.language in languages]


def name(block: Block) -> str:
    return f"{block.page.name}-{block.language}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_every_guide_is_linked_from_somewhere(page: Path) -> None:
    assert any(f"{page.name}" in other.read_text() for other in PAGES if other != page)


@pytest.mark.parametrize("block", of("python"), ids=name)
def test_python_is_python(block: Block) -> None:
    assert ast.parse(block.text).body


@pytest.mark.parametrize("block", of("json"), ids=name)
def test_json_is_json(block: Block) -> None:
    assert json.loads(block.text)


@pytest.mark.parametrize("block", of("sh", "console"), ids=name)
def test_commands_exist(block: Block) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for words in re.findall(r"^(?:\$ )?make ((?:[a-z-]+\b ?)+)", block.text, re.MULTILINE):
        assert set(words.split()) <= targets
    for command in re.findall(r"python -m service (\w+)", block.text):
        assert run_here(command, "--help").returncode == 0


def test_every_setting_is_in_the_readme_and_the_example() -> None:
    fields = {field.upper() for field in Settings.model_fields}
    for file in (PROJECT / "README.md", PROJECT / ".env.example"):
        assert fields - set(re.findall(r"\b[A-Z][A-Z_]+\b", file.read_text())) == set(), file.name


def test_every_close_code_refusal_and_endpoint_is_in_the_guide_to_the_protocol() -> None:
    guide = (PROJECT / "docs" / "protocol.md").read_text()
    for channel in spec()["channels"].values():
        assert channel["address"] in guide or channel["address"] in {"/ws/echo", "/ws/json"}
    source = "".join(path.read_text() for path in (PROJECT / "service").rglob("*.py"))
    for code in re.findall(r'(?:unauthorized|Refusal|draining)\((?:\d{3}, )?"(\w+)"', source):
        assert f"`{code}`" in guide, code


def dialogues(page: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The examples of a page: an address, and what is said (>) and heard (<) there."""
    for block in of("sh"):
        lines = re.findall(r"^([<>]) (.+)$", block.text, re.MULTILINE)
        address = re.search(r"ws://localhost:8000(/[\w/-]+)", block.text)
        if block.page == page and lines and address:
            yield address[1], lines


async def converse(connect: Connect, service: object, page: Path) -> int:
    lines = 0
    for path, dialogue in dialogues(page):
        client = await connect(service, path, user=7)  # type: ignore[arg-type]
        for direction, text in dialogue:
            lines += 1
            if direction == ">":
                await client.send_raw(text)
            else:
                assert await client.receive() == json.loads(text)
    return lines


async def test_the_readme_shows_what_really_happens(start_service: StartService, connect: Connect) -> None:
    assert await converse(connect, start_service(), PROJECT / "README.md") >= 2


@pytest.fixture
def project_with_example(tmp_path: Path) -> Path:
    """A copy of this project with the changes that the guide asks for."""
    shutil.copytree(PROJECT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    messages, endpoint = [block.text for block in of("python") if block.page == GUIDE][:2]
    with (tmp_path / "service" / "messages.py").open("a") as file:
        file.write(f"\n\n{messages}")
    (tmp_path / "service" / "endpoints" / "shout.py").write_text(endpoint)
    routers = tmp_path / "service" / "endpoints" / "__init__.py"
    text = re.sub(r"^(from service.endpoints import .*)$", r"\1, shout", routers.read_text(), flags=re.MULTILINE)
    text = re.sub(r"^(ROUTERS: .*)\]$", r"\1, shout.router]", text, flags=re.MULTILINE)
    routers.write_text(text)
    return tmp_path


def test_the_example_passes_the_lint_rules(project_with_example: Path) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "service"]
    result = subprocess.run(command, cwd=project_with_example, capture_output=True, text=True, timeout=50, check=False)
    assert result.returncode == 0, result.stdout


async def test_the_example_does_what_the_guide_shows_and_documents_itself(
    project_with_example: Path, start_service: StartService, connect: Connect
) -> None:
    service = start_service(PYTHONPATH=str(project_with_example))
    assert await converse(connect, service, GUIDE) == 4
    document = service.get("/asyncapi.json").json()
    assert document["channels"]["ws_shout"]["description"] == "What you say comes back in capitals."
    assert document["components"]["messages"]["Say"]["summary"] == "Say something."
