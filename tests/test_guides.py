"""The guide to a stream of one's own works as it stands: applied to a project, with the example and without."""

from pathlib import Path

import pytest

from tests.bakery import bake
from tests.following import python
from tests.guide import apply


@pytest.mark.parametrize("example", ["comments", "none"])
def test_a_stream_of_ones_own_is_stored_migrated_and_tested(template: Path, place: Path, example: str) -> None:
    project = bake(template, place, example=example)
    assert len(apply(project / "docs" / "a-stream-of-your-own.md", project)) >= 6
    python(project, "-m", "ruff", "check", "--fix", "--quiet", ".")
    python(project, "-m", "service", "migrate")
    python(project, "-m", "alembic", "revision", "--autogenerate", "--message", "vehicles")
    python(project, "-m", "service", "migrate")
    python(project, "-m", "alembic", "check")
    python(project, "-m", "ruff", "format", "--check", ".")
    python(project, "-m", "ruff", "check", ".")
    python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_vehicles.py")


def test_a_stream_of_ones_own_is_typed(template: Path, place: Path) -> None:
    project = bake(template, place, example="none")
    apply(project / "docs" / "a-stream-of-your-own.md", project)
    python(project, "-m", "mypy")
