"""Reads Markdown, to hold it against what is: links, code, what is said to an endpoint, tables of settings."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service


@dataclass
class Block:
    """A fenced block of code."""

    page: Path
    language: str
    text: str


@dataclass
class Dialogue:
    """What is said (>) and heard (<) at an address."""

    path: str
    lines: list[tuple[str, str]]


def blocks(page: Path, *languages: str) -> list[Block]:
    """The code of a page in these languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(page, language, text) for language, text in found if language in languages]


def broken_links(page: Path) -> list[str]:
    """Those to files or headings that are not there; addresses of the web are not looked at."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not link.startswith("https://"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(link)
    return broken


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dialogues(page: Path) -> Iterator[Dialogue]:
    """What a page shows of endpoints."""
    for block in blocks(page, "sh"):
        lines = re.findall(r"^([<>]) (.+)$", block.text, re.MULTILINE)
        address = re.search(r"ws://localhost:8000(/[\w/-]+)", block.text)
        if lines and address:
            yield Dialogue(address[1], lines)


async def converse(connect: Connect, service: Service, dialogue: Dialogue) -> None:
    """Say what is said, and hear what is heard."""
    client = await connect(service, dialogue.path, user=7)
    for direction, text in dialogue.lines:
        if direction == ">":
            await client.send_raw(text)
        else:
            assert await client.receive() == json.loads(text)
