"""A project follows the template: `cruft create`, `check`, `diff` and `update`."""

import json
from pathlib import Path

import pytest

from tests.bakery import bake
from tests.files import tree
from tests.following import commit, cruft, follow, replace
from tests.test_example import example

pytestmark = pytest.mark.needs("git")


@pytest.mark.parametrize("answer", ["comments", "none"])
def test_cruft_creates_what_cookiecutter_bakes_and_a_fresh_project_differs_in_nothing(
    upstream: Path, tmp_path: Path, answer: str
) -> None:
    baked = tree(bake(upstream, tmp_path / "baked", example=answer))
    project = follow(upstream, tmp_path / "projects", json.dumps({"example": answer}))
    created = {name: content for name, content in tree(project).items() if not name.startswith(".git/")}
    assert created.keys() - baked.keys() == {".git", ".cruft.json"}
    assert {name: created[name] for name in baked} == baked
    cruft(project, "check")
    assert cruft(project, "diff") == ""


def test_an_update_arrives_and_the_edit_of_a_user_survives_it(followed: Path, upstream: Path) -> None:
    replace(followed / "Makefile", "make %-15s", "make %-18s")
    (followed / "service" / "ours.py").write_text('"""Ours."""\n')
    commit(followed, "our edit")

    generated = upstream / "{{cookiecutter.project_slug}}"
    replace(generated / "Makefile", "install everything into .venv", "install it all into .venv")
    replace(generated / "pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"')
    (generated / "service" / "engine" / "news.py").write_text('"""News."""\n')
    (generated / "loadtests" / "engine" / "locust.conf").unlink()
    commit(upstream, "second version")

    cruft(followed, "check", status=1)
    cruft(followed, "update", "--skip-apply-ask")

    makefile = (followed / "Makefile").read_text()
    assert "make %-18s" in makefile
    assert "install it all into .venv" in makefile
    assert 'version = "0.2.0"' in (followed / "pyproject.toml").read_text()
    assert (followed / "service" / "engine" / "news.py").exists()
    assert (followed / "service" / "ours.py").exists()
    assert not (followed / "loadtests" / "engine" / "locust.conf").exists()
    assert list(followed.rglob("*.rej")) == []

    cruft(followed, "check")
    changed = [line for line in cruft(followed, "diff").splitlines() if line.startswith(("+", "-"))]
    assert [line for line in changed if "make %-" not in line and not line.startswith(("+++", "---"))] == []


def test_where_both_changed_one_line_an_update_leaves_the_marks_of_a_merge(followed: Path, upstream: Path) -> None:
    replace(followed / "Makefile", "make %-15s", "make %-18s")
    commit(followed, "our edit")
    replace(upstream / "{{cookiecutter.project_slug}}" / "Makefile", "make %-15s", "make %-16s")
    commit(upstream, "the same line")
    cruft(followed, "update", "--skip-apply-ask")
    assert {"<<<<<<< ours\n", ">>>>>>> theirs\n"} <= set((followed / "Makefile").read_text().splitlines(keepends=True))
    assert list(followed.rglob("*.rej")) == []


def test_an_update_brings_no_example_to_a_project_without(upstream: Path, tmp_path: Path) -> None:
    project = follow(upstream, tmp_path / "projects", '{"example": "none"}')
    before = {name: content for name, content in tree(project).items() if not name.startswith(".git/")}
    generated = upstream / "{{cookiecutter.project_slug}}"
    for name in example():
        if name.endswith(".py"):
            replace(generated / name, '"""', '"""News. ')
    replace(generated / "service" / "engine" / "__init__.py", '"""', '"""News. ')
    commit(upstream, "a better example")
    cruft(project, "update", "--skip-apply-ask")
    after = {name: content for name, content in tree(project).items() if not name.startswith(".git/")}
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {".cruft.json", "service/engine/__init__.py"}
