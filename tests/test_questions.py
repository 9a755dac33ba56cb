"""What the template asks."""

import ast
import json
from pathlib import Path

QUESTIONS = ["project_name", "project_slug", "description", "author", "github_owner", "aws_region", "domain_name"]


def test_the_questions_are_few_and_put_in_human_words(template: Path) -> None:
    answers = json.loads((template / "cookiecutter.json").read_text())
    assert [name for name in answers if not name.startswith("_")] == QUESTIONS
    assert list(answers["__prompts__"]) == QUESTIONS


def test_the_hook_only_looks_at_answers(template: Path) -> None:
    (hook,) = (template / "hooks").iterdir()
    imports = [node for node in ast.walk(ast.parse(hook.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == {"json", "re", "sys", "unicodedata", "Path"}


def test_no_answer_is_made_by_chance(template: Path) -> None:
    questions = (template / "cookiecutter.json").read_text()
    assert not [word for word in ("random", "uuid", "now") if word in questions]
