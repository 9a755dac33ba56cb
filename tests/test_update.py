"""A team has put a domain of its own in the place of the example, and takes over what is new in the template."""

import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.bakery import bake
from tests.files import tree
from tests.following import begin, commit, cruft, python
from tests.release import TEMPLATE, unpack
from tests.test_example import example

DOMAIN = Path(__file__).parent / "domain"
"""Vehicles, as a team writes them."""
MINE = ["README.md", ".github/SECURITY.md", "infra/*.tfvars", "infra/bootstrap/*.tfvars"]
MARKS = {".js": "// News.\n", ".css": "/* News. */\n", ".md": "<!-- News. -->\n"}
MARKS |= dict.fromkeys([".py", ".tf", ".toml", ".yml", ".yaml", ".conf", ".mako"], "# News.\n")
NEWS = '''"""A table that the engine did not have before."""

import sqlalchemy as sa
from alembic import op

revision = "news"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("news", sa.Column("id", sa.BigInteger, primary_key=True))
'''
TABLES = """
import psycopg
from service.app import application
from service.engine.application.development import development_settings
from service.engine.foundation.settings import load_settings
with development_settings(load_settings(application.settings)) as settings:
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        print(*(name for name, in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
"""


def is_the_teams(name: str) -> bool:
    """Yours and ours: what lies in a folder called `engine/` is ours, other code is the team's. Pins are made."""
    room, _, rest = name.partition("/")
    if room in {"service", "tests", "loadtests"}:
        return (
            bool(rest) and not rest.startswith("engine/") and rest != "engine" and not rest.endswith("requirements.txt")
        )
    return any(fnmatch(name, pattern) for pattern in MINE)


def files(project: Path) -> dict[str, bytes]:
    """What is under version control, by the team's own hands or by ours."""
    return {
        name: content
        for name, content in tree(project).items()
        if content is not None and not re.search(r"^\.(git|local|cruft\.json)\b(?!hub|ignore)|_cache|__pycache__", name)
    }


def take_over(upstream: Path, template: Path) -> None:
    """What has changed in the template since."""
    for name in TEMPLATE:
        old, new = upstream / name, template / name
        if new.is_dir():
            shutil.rmtree(old)
            shutil.copytree(new, old)
        else:
            shutil.copy(new, old)


def change_everything(generated: Path) -> None:
    """A line in every file whose language has comments, and a migration of the engine."""
    versions = generated / "service" / "engine" / "storage" / "migrations" / "versions"
    migrations = "\n".join(path.read_text() for path in versions.glob("*.py"))
    before = re.findall(r'^down_revision = "(\w+)"', migrations, re.MULTILINE)
    (head,) = set(re.findall(r'^revision = "(\w+)"', migrations, re.MULTILINE)) - set(before)
    for path in [path for path in generated.rglob("*") if path.suffix in MARKS]:
        path.write_text(MARKS[path.suffix] + path.read_text())
    (versions / "news.py").write_text(NEWS.format(head=head))


def migrated(project: Path) -> set[str]:
    """The tables of the development database, brought up to date."""
    python(project, "-m", "service", "migrate")
    return set(python(project, "-c", TABLES).split())


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository of the template as it was last released."""
    repository = unpack(tmp_path / "upstream")
    begin(repository)
    return repository


@pytest.fixture
def vehicles(followed: Path) -> Path:
    """A project that has lost the example, and has a domain of its own."""
    for name in example():
        path = followed / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(DOMAIN, followed, dirs_exist_ok=True)
    commit(followed, "vehicles instead of the example")
    return followed


def test_an_update_from_the_last_release_changes_all_of_ours_and_nothing_of_the_teams(
    vehicles: Path, upstream: Path, template: Path, tmp_path: Path
) -> None:
    assert {"positions", "streams"} <= migrated(vehicles)
    before = files(vehicles)

    take_over(upstream, template)
    change_everything(upstream / "{{cookiecutter.project_slug}}")
    commit(upstream, "what is new, a change to every file, and a migration of the engine")
    cruft(vehicles, "update", "--skip-apply-ask")

    after, newest = files(vehicles), files(bake(upstream, tmp_path / "newest"))
    assert {name: after[name] for name in after if is_the_teams(name)} == {
        name: before[name] for name in before if is_the_teams(name)
    }
    assert {name: after[name] for name in after if not is_the_teams(name)} == {
        name: newest[name] for name in newest if not is_the_teams(name)
    }

    assert {"positions", "streams", "news"} <= migrated(vehicles), "the database from before"
    shutil.rmtree(vehicles / ".local")
    assert {"positions", "streams", "news"} <= migrated(vehicles), "an empty one"
    assert python(vehicles, "-m", "alembic", "heads").split() == ["a1", "(head)"]
    python(vehicles, "-m", "ruff", "format", "--check", "--no-cache", ".")
    python(vehicles, "-m", "ruff", "check", "--no-cache", ".")
    python(vehicles, "-m", "mypy", "--cache-dir", str(tmp_path / "types"), "service", "tests/test_vehicles.py")
    python(vehicles, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ignore", "tests/engine", "tests")
