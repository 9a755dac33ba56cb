"""What the README says is so: its links lead somewhere, and its example works as it stands."""

import re

from tests.engine.kit.commands import PROJECT
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.markdown import blocks, broken_links, converse, dialogues
from tests.engine.kit.running import Service

README = PROJECT / "README.md"


def test_links_lead_somewhere() -> None:
    assert broken_links(README) == []


def test_every_guide_is_linked_from_somewhere() -> None:
    pages = {page: page.read_text() for page in (README, *(PROJECT / "docs").glob("*.md"))}
    for guide in pages:
        assert guide == README or any(guide.name in text for page, text in pages.items() if page != guide), guide.name


def test_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for block in blocks(README, "sh"):
        for words in re.findall(r"^make ((?:[a-z-]+\b ?)+)", block.text, re.MULTILINE):
            assert set(words.split()) <= targets


async def test_its_example_is_what_really_happens(service: Service, connect: Connect) -> None:
    shown = list(dialogues(README))
    assert shown
    for dialogue in shown:
        await converse(connect, service, dialogue)
