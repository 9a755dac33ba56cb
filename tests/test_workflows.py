"""The steps of a project's CI, run here as GitHub would run them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.bakery import ROOT
from tests.cloud import terraform_config

TOOLS = Path(sys.executable).parent
# Jobs whose steps need no container engine, and what they must have said.
JOBS = {"lint": "no issues found", "infrastructure": r"Success!\S* \d+ passed, 0 failed"}
IDENTITY = ["-c", "user.name=A user", "-c", "user.email=user@example.com"]

pytestmark = [pytest.mark.needs("git"), pytest.mark.needs("make")]


def test_checkov_is_the_same_here_and_in_the_workflow(project: Path) -> None:
    ours = re.findall(r"checkov==([\d.]+)", (ROOT / "tests" / "checkov.txt").read_text())
    theirs = re.findall(r"checkov==([\d.]+)", (project / ".github" / "workflows" / "ci.yml").read_text())
    assert ours == theirs != []


@pytest.mark.parametrize(
    "job", ["lint", pytest.param("infrastructure", marks=[*map(pytest.mark.needs, ("terraform", "checkov"))])]
)
def test_the_steps_of_ci_pass_on_a_fresh_project(project: Path, tmp_path: Path, job: str) -> None:
    repository = Path(shutil.copytree(project, tmp_path / "project"))
    workflow = yaml.safe_load((repository / ".github" / "workflows" / "ci.yml").read_text())
    # Actions set up what this machine has.
    uses = {step["uses"] for steps in workflow["jobs"].values() for step in steps["steps"] if "uses" in step}
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "action.yml").write_text(
        "name: nothing\nruns:\n  using: composite\n  steps:\n    - run: true\n      shell: sh\n"
    )
    programs = tmp_path / "bin"
    programs.mkdir()
    pipx = programs / "pipx"  # runs what is installed, whatever version is asked for
    pipx.write_text('#!/bin/sh\nshift; program=${1%%=*}; shift; exec "$program" "$@"\n')
    pipx.chmod(0o755)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "MAKE", "MFLAGS"))},
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TF_CLI_CONFIG_FILE": str(terraform_config(tmp_path)),
        "HOME": str(tmp_path),
        # What the project would install is what these tests run with; the linter knows it, where it has run.
        "MAKEFLAGS": f"--assume-old=setup bin={TOOLS}",
        "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache" / "project"),
    }
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run(["git", *IDENTITY, *command], cwd=repository, check=True, env=environment)
    act = [str(TOOLS / "act"), "pull_request", "--workflows", ".github/workflows/ci.yml", "--job", job]
    act += ["--platform", "ubuntu-24.04=-self-hosted"]
    for action in uses:
        act += ["--local-repository", f"{action}={nothing}"]
    result = subprocess.run(
        act, cwd=repository, env=environment, capture_output=True, text=True, timeout=800, check=False
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "Job succeeded" in result.stdout
    assert re.search(JOBS[job], result.stdout)
