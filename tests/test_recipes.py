"""The recipes work as they stand, all of them in one project."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml

from tests.bakery import ROOT, bake
from tests.following import python
from tests.guide import apply
from tests.making import record_missing

REACT = Path(__file__).parent / "recipes" / "tests" / "test_use_stream.py"
"""A test of the hook; a team would write it in JavaScript."""


@pytest.fixture(scope="module")
def cooked(template: Path) -> Iterator[Path]:
    """A project with all of them."""
    with TemporaryDirectory(prefix="project-") as directory:
        project = bake(template, Path(directory))
        assert len(apply(project / "docs" / "recipes.md", project)) == 21
        shutil.copy(REACT, project / "tests")
        python(project, "-m", "ruff", "check", "--fix-only", "--quiet", ".")
        python(project, "-m", "ruff", "format", "--quiet", "service/app.py")
        yield project


def test_they_are_stored_migrated_linted_and_keep_their_own_tests(
    cooked: Path, record_property: Callable[[str, object], None]
) -> None:
    python(cooked, "-m", "service", "migrate")
    python(cooked, "-m", "alembic", "revision", "--autogenerate", "--message", "Add recipes")
    python(cooked, "-m", "service", "migrate")
    python(cooked, "-m", "ruff", "format", "--check", ".")
    python(cooked, "-m", "ruff", "check", ".")
    tests = ["tests/test_service.py", *own_tests(cooked)]
    record_missing(python(cooked, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests), record_property)


def test_a_table_is_partitioned_with_all_that_is_in_it(
    template: Path, place: Path, record_property: Callable[[str, object], None]
) -> None:
    project = bake(template, place)
    migration, test = apply(project / "docs" / "partition-a-large-table.md", project)
    python(project, "-m", "ruff", "format", "--check", migration, test)
    python(project, "-m", "ruff", "check", migration, test)
    python(project, "-m", "service", "migrate")
    assert "No new upgrade operations detected" in python(project, "-m", "alembic", "check")
    tests = [test, *(f"tests/test_{name}.py" for name in ("comments", "live_comments", "migrations"))]
    record_missing(python(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests), record_property)


def test_they_are_typed(cooked: Path) -> None:
    """With what the linter knows of the packages, where it has run."""
    code = [str(path.relative_to(cooked)) for path in (cooked / "service").glob("*.py")]
    cache = ROOT / ".mypy_cache" / "project"
    python(cooked, "-m", "mypy", "--cache-dir", str(cache), *code, *own_tests(cooked))


def own_tests(project: Path) -> list[str]:
    guide = (project / "docs" / "recipes.md").read_text()
    return [*re.findall(r"^# (tests/test_\w+\.py)$", guide, re.MULTILINE), f"tests/{REACT.name}"]


@pytest.fixture(scope="module")
def manifests(cooked: Path) -> dict[str, Any]:
    """What Kubernetes is given, by kind."""
    documents = yaml.safe_load_all((cooked / "kubernetes" / "service.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_kubernetes_takes_the_manifests(cooked: Path, manifests: dict[str, Any]) -> None:
    wanted = {"Deployment", "Service", "Ingress", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    assert manifests.keys() == wanted
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", "kubernetes/service.yaml"]
    checked = subprocess.run(command, cwd=cooked, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("passed") == len(wanted)


def test_a_pod_has_time_for_its_goodbyes_and_is_asked_what_it_can_answer(manifests: dict[str, Any]) -> None:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (service,) = pod["containers"]
    drain = next(int(variable["value"]) for variable in service["env"] if variable["name"] == "DRAIN_SECONDS")
    pause = service["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= max(pause + drain + 5 + 1, drain + 10)
    probes = {name: service[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/readyz", "readiness": "/healthz", "liveness": "/healthz"}
    for kind in ("Service", "PodDisruptionBudget"):
        selector = manifests[kind]["spec"]["selector"]
        assert selector.get("matchLabels", selector) == manifests["Deployment"]["spec"]["selector"]["matchLabels"]
