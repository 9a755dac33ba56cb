"""What the template asks."""

import ast
import json
from pathlib import Path

import pytest

QUESTIONS = [
    "project_name",
    "project_slug",
    "description",
    "author",
    "github_owner",
    "aws_region",
    "domain_name",
    "example",
]


def test_the_questions_are_few_and_put_in_human_words(template: Path) -> None:
    answers = json.loads((template / "cookiecutter.json").read_text())
    assert [name for name in answers if not name.startswith("_")] == QUESTIONS
    assert list(answers["__prompts__"]) == QUESTIONS


@pytest.mark.parametrize(
    ("hook", "names"),
    [
        ("pre_gen_project.py", {"json", "re", "sys", "unicodedata", "Path"}),
        ("post_gen_project.py", {"json", "shutil", "Path"}),
    ],
)
def test_the_hooks_only_look_at_answers_and_files(template: Path, hook: str, names: set[str]) -> None:
    code = ast.parse((template / "hooks" / hook).read_text())
    imports = [node for node in ast.walk(code) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == names


def test_no_answer_is_made_by_chance(template: Path) -> None:
    questions = (template / "cookiecutter.json").read_text()
    assert not [word for word in ("random", "uuid", "now") if word in questions]
