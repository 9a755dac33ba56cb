"""The guide to a stream of one's own, from the first line to its tests, on a project with nothing else in it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.house.blank_project import apply, make
from tests.engine.kit.commands import PROJECT, SECRET_KEY, plain_environment
from tests.engine.kit.postgres import Address, Database

GUIDE = PROJECT / "docs" / "a-stream-of-your-own.md"


SHOWN = {"service/fleet/models.py", "service/endpoints/vehicles.py", "service/app.py", "tests/test_vehicles.py"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One with a fleet."""
    make(tmp_path)
    assert set(apply(GUIDE, tmp_path)) >= SHOWN
    return tmp_path


def run(project: Path, database: Database, *command: str) -> str:
    """Run a Python module as the guide says; what it prints."""
    settings = {"DATABASE_URL": database.url, "SECRET_KEY": SECRET_KEY, "PYTHONPATH": str(project)}
    result = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=plain_environment(**settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.timeout(180)
def test_the_domain_of_the_guide_is_made_migrated_linted_and_tested_as_it_says(
    project: Path, postgres: Address
) -> None:
    database = postgres.create_database(migrated=False)
    run(project, database, "service", "migrate")
    run(project, database, "alembic", "revision", "--autogenerate", "-m", "Add vehicles")
    (migration,) = (project / "service" / "migrations" / "versions").glob("*_add_vehicles.py")
    assert all(f'"{table}"' in migration.read_text() for table in ("vehicles", "vehicle_members", "positions"))
    run(project, database, "ruff", "check", "--fix", "--quiet", "service", "tests/test_vehicles.py")
    run(project, database, "service", "migrate")
    run(project, database, "alembic", "check")
    assert "passed" in run(project, database, "pytest", "-q", "tests/test_vehicles.py")
