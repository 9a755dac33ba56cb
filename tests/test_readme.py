"""What the README and the pages behind it say is so: their files, commands and questions exist."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.bakery import ROOT

README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", page.read_text())
    local = [unquote(link or picture) for link, picture in targets if not link.startswith("https://")]
    for path in local:
        assert (page.parent / path.partition("#")[0]).is_file(), path


def test_every_page_is_linked_from_the_readme() -> None:
    for page in PAGES[1:]:
        assert f"]({page.relative_to(ROOT)})" in README


def test_every_command_exists() -> None:
    project = next(ROOT.glob("{{*}}"))
    targets = {
        target
        for makefile in (ROOT / "Makefile", project / "Makefile")
        for target in re.findall(r"^([a-z-]+):", makefile.read_text(), re.MULTILINE)
    }
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bmake ([a-z-]+)`", text)) | set(
        re.findall(r"(?:^|&& )make ([a-z-]+)", text, re.MULTILINE)
    )
    assert {"demo", "test", "chaos"} <= named <= targets


def test_the_questions_are_those_that_are_asked() -> None:
    asked = [name for name in json.loads((ROOT / "cookiecutter.json").read_text()) if not name.startswith("_")]
    table = README.partition("| question |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == asked
