"""What the README says is so: its files, commands and questions exist."""

import json
import re
from urllib.parse import unquote

from tests.bakery import ROOT

README = (ROOT / "README.md").read_text()


def test_links_and_pictures_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"", README)
    local = [unquote(link or picture) for link, picture in targets if not link.startswith("https://")]
    assert len(local) >= 4
    for path in local:
        assert (ROOT / path).is_file(), path


def test_every_command_exists() -> None:
    project = next(ROOT.glob("{{*}}"))
    targets = {
        target
        for makefile in (ROOT / "Makefile", project / "Makefile")
        for target in re.findall(r"^([a-z-]+):", makefile.read_text(), re.MULTILINE)
    }
    named = set(re.findall(r"\bmake ([a-z-]+)`", README)) | set(
        re.findall(r"(?:^|&& )make ([a-z-]+)", README, re.MULTILINE)
    )
    assert {"demo", "test", "chaos"} <= named <= targets


def test_the_questions_are_those_that_are_asked() -> None:
    asked = [name for name in json.loads((ROOT / "cookiecutter.json").read_text()) if not name.startswith("_")]
    table = README.partition("| question |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == asked
