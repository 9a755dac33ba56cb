"""Every answer is refused in one line, or every generated file is valid."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.bakery import bake
from tests.files import assert_valid, tree

REFUSED_SLUGS = [
    "../evil",
    "../../evil",
    "a/b/c",
    "../deep/er/evil",
    "/{tmp}/absolute/evil",
    "",
    " ",
    ".",
    "..",
    "ab",
    "a" * 21,
    "a" * 300,
    "Live-Service",
    "live_service",
    "live service",
    "live.service",
    "live--service",
    "-live",
    "live-",
    "1live",
    "livé",
    "live\u0663",
    "live\u2010service",
    "live\nservice",
    "live\n",
    "live\x1b[31m",
    "live\udcff",
    "live'",
    'live"',
    "live'''",
    'live"""',
    "live\\",
    "live;ls",
    "internal-live",
    "awsome",
    "ssm-live",
    "sg-live",
    "amzn-live",
    "$(id)",
    "{live}",
    "🚀🚀🚀",
]
REFUSED_ANSWERS = [
    ("example", ""),
    ("example", "everything"),
    ("example", "None"),
    ("project_name", ""),
    ("project_name", "   "),
    ("project_name", "two\nlines"),
    ("description", "two\r\nlines"),
    ("description", "bell \a"),
    ("description", "line separator \u2028"),
    ("author", "not utf-8 \udcff"),
    ("github_owner", ""),
    ("github_owner", "-octo"),
    ("github_owner", "octo--cat"),
    ("github_owner", "octo/cat"),
    ("github_owner", "octo cat"),
    ("github_owner", "octo_"),
    ("github_owner", "o" * 40),
    ("aws_region", ""),
    ("aws_region", "Frankfurt"),
    ("aws_region", "eu-central"),
    ("aws_region", 'eu-central-1"'),
    ("domain_name", "localhost"),
    ("domain_name", "https://example.com"),
    ("domain_name", "example.com/"),
    ("domain_name", "Example.com"),
    ("domain_name", "exa_mple.com"),
    ("domain_name", "-example.com"),
    ("domain_name", "192.168.0.1"),
    ("domain_name", "a" * 64 + ".com"),
]
HOSTILE_TEXTS = [
    'double " quote',
    "single ' quote",
    "\"\"\" and '''",
    "back\\slash, \\n, \\u0041, \\\\",
    "ends in a backslash \\",
    "{single} }}braces{ %} #}",
    "$HOME ${HOME} $(id) `id` %s %(x)s",
    "- yaml: [not, a, list] # comment & *alias !tag | >",
    "[link](x) <script>alert(1)</script> &amp; *bold*",
    "emoji 🚀 👩‍👩‍👧 ümlaut 漢字 עברית",
    "=1+1 -- ; rm -rf / \xa0",
]


def cookiecutter(
    template: Path, output: Path, *arguments: str, typed: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command a user runs, with settings and a temporary directory of its own, which has to end up empty."""
    with TemporaryDirectory() as home:
        temporary = Path(home, "tmp")
        temporary.mkdir()
        config = Path(home, "config.yaml")
        config.write_text(json.dumps({"cookiecutters_dir": home, "replay_dir": f"{home}/replay"}))
        command = [sys.executable, "-m", "cookiecutter", str(template), "--output-dir", str(output)]
        command += ["--config-file", str(config), *(["--no-input"] if typed is None else []), *arguments]
        environment = {**os.environ, "TMPDIR": str(temporary)}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, errors="surrogateescape", input=typed, check=False
        )
        assert not tree(temporary)
    return result


@pytest.mark.parametrize("slug", REFUSED_SLUGS, ids=ascii)
def test_a_bad_slug_is_refused_in_one_line_and_leaves_nothing_behind(template: Path, tmp_path: Path, slug: str) -> None:
    output = tmp_path / "in" / "here"
    output.mkdir(parents=True)
    before = tree(tmp_path)
    refusal = cookiecutter(template, output, f"project_slug={slug.format(tmp=tmp_path, live='{live}')}")
    assert refusal.returncode != 0
    assert refusal.stderr.count("\n") == 1
    assert refusal.stderr.startswith("project_slug must be ")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("question", "answer"), REFUSED_ANSWERS, ids=ascii)
def test_a_bad_answer_is_refused_in_one_line_and_leaves_nothing_behind(
    template: Path, tmp_path: Path, question: str, answer: str
) -> None:
    refusal = cookiecutter(template, tmp_path, "project_slug=live-service", f"{question}={answer}")
    assert refusal.returncode != 0
    assert refusal.stderr.count("\n") == 1
    assert refusal.stderr.startswith(f"{question} must be ")
    assert not tree(tmp_path)


def test_every_bad_answer_is_named_at_once(template: Path, tmp_path: Path) -> None:
    refusal = cookiecutter(template, tmp_path, "github_owner=a b", "aws_region=moon")
    assert refusal.stderr.count("\n") == 1
    assert "github_owner must be " in refusal.stderr
    assert "aws_region must be " in refusal.stderr


def test_a_refusal_leaves_an_existing_project_alone(template: Path, tmp_path: Path) -> None:
    mine = tmp_path / "live-service" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    refusal = cookiecutter(template, tmp_path, "--overwrite-if-exists", "aws_region=moon")
    assert refusal.returncode != 0
    assert tree(tmp_path) == {"live-service": None, "live-service/mine.txt": b"mine"}


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_hostile_text_gives_valid_files_that_hold_it_unchanged(template: Path, tmp_path: Path, text: str) -> None:
    project = bake(template, tmp_path, project_slug="hostile", project_name=text, description=text, author=text)
    assert_valid(project)
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["description"] == text
    assert metadata["project"]["authors"] == [{"name": text}]


@pytest.mark.parametrize("slug", ["abc", "a1-b2-c3", "yes", "null", "true", "a" * 20])
def test_a_good_slug_names_the_project(template: Path, tmp_path: Path, slug: str) -> None:
    project = bake(template, tmp_path, project_slug=slug)
    assert project == tmp_path / slug
    assert_valid(project)
    assert f'name: "{slug}"' in (project / "compose.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Live Service", "live-service"),
        ("Überblick & Co.", "uberblick-co"),
        ("A Very Long Name For A Service", "a-very-long-name-for"),
    ],
)
def test_the_slug_follows_from_the_name(template: Path, tmp_path: Path, name: str, slug: str) -> None:
    assert bake(template, tmp_path, project_name=name).name == slug


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("aws_region", "eusc-de-east-1"),
        ("aws_region", "us-gov-west-1"),
        ("github_owner", "octocat_acme"),
        ("github_owner", "o" * 39),
    ],
)
def test_an_unusual_answer_is_accepted(template: Path, tmp_path: Path, question: str, answer: str) -> None:
    assert_valid(bake(template, tmp_path, **{question: answer}))


@pytest.mark.parametrize(
    "domain", ["example.com", "live.example.co.uk", "xn--bcher-kva.example", "a.b.c.d.example.xn--p1ai"]
)
def test_a_domain_name_is_accepted(template: Path, tmp_path: Path, domain: str) -> None:
    assert_valid(bake(template, tmp_path, domain_name=domain))


def test_typed_answers_are_taken_as_they_are(template: Path, tmp_path: Path) -> None:
    typed = "\n".join(["Chat \\o/", "", 'Says "hello" to {everyone}', "", "", "", "", ""]) + "\n"
    assert cookiecutter(template, tmp_path, typed=typed).returncode == 0
    project = tmp_path / "chat-o"
    assert_valid(project)
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert metadata["project"]["description"] == 'Says "hello" to {everyone}'


@pytest.mark.parametrize("mark", ["{{ 1 }}", "{% raw %}", "{# note #}"])
def test_typed_jinja_is_refused_because_an_update_would_evaluate_it(template: Path, tmp_path: Path, mark: str) -> None:
    refusal = cookiecutter(template, tmp_path, typed="\n".join(["", "", mark, "", "", "", "", ""]) + "\n")
    assert refusal.returncode != 0
    assert refusal.stderr.startswith("description must be text without ")
    assert refusal.stderr.count("\n") == 1
    assert not tree(tmp_path)


def test_jinja_on_the_command_line_is_evaluated_by_cookiecutter_into_valid_files(
    template: Path, tmp_path: Path
) -> None:
    assert cookiecutter(template, tmp_path, "description={{ 1 + 1 }}").returncode == 0
    assert_valid(tmp_path / "live-service")
    assert 'description = "2"' in (tmp_path / "live-service" / "pyproject.toml").read_text()


@pytest.mark.parametrize("answer", ["{% for", "{{ unknown }}", "{{ cookiecutter"])
def test_broken_jinja_on_the_command_line_stops_cookiecutter_before_it_writes(
    template: Path, tmp_path: Path, answer: str
) -> None:
    assert cookiecutter(template, tmp_path, f"description={answer}").returncode != 0
    assert not tree(tmp_path)
