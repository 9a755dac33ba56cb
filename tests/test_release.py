"""A release is what the changelog says, and is there to be updated from."""

import re
from pathlib import Path

from tests.bakery import ROOT
from tests.files import tree
from tests.release import TEMPLATE, last_release, unpack, version

HEADINGS = re.findall(r"^## (\S+)(?: - \d{4}-\d{2}-\d{2})?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_version_changelog_and_archive_agree() -> None:
    released = [heading for heading in HEADINGS if heading != "Unreleased"]
    assert released[0] == version() == last_release().name.removesuffix(".tar.xz")


def test_what_has_changed_since_is_in_the_changelog(template: Path, tmp_path: Path) -> None:
    released, now = unpack(tmp_path / "released"), {name: template / name for name in TEMPLATE}
    same = all(
        tree(released / name) == tree(path) if path.is_dir() else (released / name).read_bytes() == path.read_bytes()
        for name, path in now.items()
    )
    assert same or HEADINGS[0] == "Unreleased"
