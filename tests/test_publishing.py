"""The image of a commit: built or taken once, for the right machines, and pushed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cloud import REGION
from tests.site import AUTHOR, REPOSITORY, Site
from tests.test_cloud import PROJECT, deployment


def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str = "amd64") -> Path:
    """A docker that writes down what it is asked for, and where that was no push, it worked."""
    program, asked = tmp_path / "bin" / "docker", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\ncase $1 in\nimage) echo {architecture};;\npush) exit 9;;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return asked


def test_the_image_of_a_commit_is_built_once(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=small, text=True).strip()

    assert deployment(small, idle.cloud, "image", "staging").returncode == 9
    assert f"--platform linux/amd64 --load --provenance false --tag {REPOSITORY}:{commit} ." in asked.read_text()
    digest = idle.cloud.push_image(PROJECT, "0001", tag=commit)
    for environment in ("staging", "production"):
        found = deployment(small, idle.cloud, "image", environment)
        assert (found.returncode, found.stdout) == (0, f"{digest}\n"), found.stderr
        assert f"the image of {commit} is there already" in found.stderr

    (small / "change").touch()
    refused = deployment(small, idle.cloud, "image", "staging")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "commit first" in refused.stderr


def test_the_image_that_was_tested_is_the_one_that_is_pushed(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch)
    (small / "image.tar").touch()  # what was downloaded
    assert deployment(small, idle.cloud, "image", "staging", "--loaded", "service:ci").returncode == 9
    lines = asked.read_text().splitlines()
    assert lines[0].startswith(f"tag service:ci {REPOSITORY}:")
    assert not [line for line in lines if line.startswith("buildx")]
    assert lines[-1].startswith(f"push --quiet {REPOSITORY}:")


def test_an_image_that_could_not_trust_its_database_is_not_made(idle: Site, small: Path) -> None:
    for region, known in (("il-central-1", False), (REGION, True)):
        tfvars = small / "infra" / "staging.tfvars"
        tfvars.write_text(re.sub(r'(aws_region +=) ".*"', rf'\1 "{region}"', tfvars.read_text()))
        subprocess.run(
            ["git", *AUTHOR, "commit", "--quiet", "--all", "--allow-empty", "-m", region], cwd=small, check=True
        )
        refused = deployment(small, idle.cloud, "image", "staging").stderr
        assert (f"infra/rds-ca.pem has no root for {region}: curl -o infra/rds-ca.pem https://" in refused) is not known


def test_an_image_for_other_machines_is_not_pushed(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch, "arm64")
    refused = deployment(small, idle.cloud, "image", "staging", "--loaded", "service:ci")
    assert refused.returncode == 1
    assert "the image is for arm64, and staging runs on amd64" in refused.stderr
    assert "push" not in asked.read_text()
