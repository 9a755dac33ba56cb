"""One lock for deployments and Terraform: who comes second changes nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cloud import REGION, Terraform
from tests.site import LOCK, STATE, Site
from tests.test_cloud import PROJECT, deployment

DEPLOY = [sys.executable, "-m", "infra.deploy", "deploy", "staging"]


def test_a_foreign_lock_is_respected(idle: Site, first: str) -> None:
    note = {"ID": "f00", "Operation": "OperationTypeApply", "Who": "ann@laptop", "Created": "2026-11-22T10:00:00Z"}
    idle.cloud.client("s3").put_object(Bucket=STATE, Key=LOCK, Body=json.dumps(note))
    refused = idle.deploy(idle.cloud.push_image(PROJECT, "0002"), "--without-smoke-test")
    assert refused.returncode == 1
    assert "OperationTypeApply by ann@laptop since 2026-11-22T10:00:00Z" in refused.stderr
    assert 'make terraform ENV=staging ARGS="force-unlock f00"' in refused.stderr
    assert idle.running_image() == first
    assert idle.is_locked()


@pytest.mark.needs("terraform")
def test_terraform_respects_the_lock_of_a_deployment(idle: Site, first: str, tmp_path: Path) -> None:
    assert first
    directory = tmp_path / "other" / "infra"
    directory.mkdir(parents=True)
    (directory / "main.tf").write_text('terraform {\n  backend "s3" {\n    use_lockfile = true\n  }\n}\n')
    terraform = Terraform(directory, idle.cloud.environment)
    settings = {"bucket": STATE, "key": "staging.tfstate", "region": REGION}
    terraform.run("init", "-input=false", *(f"-backend-config={name}={value}" for name, value in settings.items()))
    image = idle.cloud.push_image(PROJECT, "dead")
    slow = subprocess.Popen(
        [*DEPLOY, "--image", image, "--poll", "0.1", "--patience", "120", "--without-smoke-test"],
        cwd=idle.project,
        env=idle.cloud.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not idle.is_locked():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        refused = terraform.attempt("plan", "-input=false")
        assert refused.returncode == 1
        assert "Error acquiring the state lock" in refused.stderr
        assert "Deployment" in refused.stderr
    finally:
        slow.terminate()  # as a cancelled workflow does
        slow.communicate(timeout=30)
    assert not idle.is_locked()
    terraform.run("plan", "-input=false")


@pytest.mark.needs("terraform")
def test_a_lock_whose_holder_has_died_is_taken_away(idle: Site, small: Path) -> None:
    note = {"ID": "f00", "Operation": "Deployment", "Who": "ann@laptop", "Created": "2026-11-22T10:00:00Z"}
    idle.cloud.client("s3").put_object(Bucket=STATE, Key=LOCK, Body=json.dumps(note))
    assert deployment(small, idle.cloud, "terraform", "staging", "apply", "-auto-approve").returncode == 1
    unlocked = deployment(small, idle.cloud, "terraform", "staging", "force-unlock", "-force", "f00")
    assert unlocked.returncode == 0, unlocked.stderr
    assert not idle.is_locked()
