"""Terraform by way of the deployment's commands: on the right state, as approved, after a first `make bootstrap`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud import ACCOUNT, REGION, Cloud
from tests.site import Site
from tests.test_cloud import PROJECT, deployment


@pytest.mark.needs("terraform")
def test_any_command_of_terraform_runs_on_the_right_state(idle: Site, small: Path) -> None:
    def terraform(*arguments: str) -> str:
        result = deployment(small, idle.cloud, "terraform", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    terraform("staging", "apply", "-auto-approve")
    terraform("bootstrap", "apply", "-auto-approve")
    assert terraform("staging", "output", "-raw", "dashboard") == "of staging"
    assert terraform("bootstrap", "output", "-raw", "bucket") == "of all"
    assert deployment(small, idle.cloud, "terraform", "staging", "output", "nothing").returncode == 1


@pytest.mark.needs("terraform")
def test_what_was_approved_is_what_is_applied(idle: Site, small: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return deployment(small, idle.cloud, *arguments)

    kept = run("plan", "staging", "--keep", "17")
    assert kept.returncode == 0, kept.stderr
    (small / "infra" / "staging.tfplan").unlink()  # another job applies it
    applied = run("apply", "staging", "--kept", "17")
    assert applied.returncode == 0, applied.stderr
    assert run("terraform", "staging", "output", "-raw", "dashboard").stdout == "of staging"

    stale = run("apply", "staging", "--kept", "17")
    assert stale.returncode == 1
    assert "staging has changed since the plan was made, so nothing was done: plan again" in stale.stderr
    missing = run("apply", "staging", "--kept", "18")
    assert missing.returncode == 1
    assert "there is no plan 18 of staging" in missing.stderr
    assert missing.stderr.splitlines()[-1].count("error") == 1


def test_a_state_that_could_not_be_written_says_where_it_is(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform = tmp_path / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text(
        f'#!/bin/sh\ncase "$*" in *apply*) touch {small}/infra/errored.tfstate; echo Failed >&2; exit 1;; esac\n'
    )
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", f"{terraform.parent}:{os.environ['PATH']}")
    refused = deployment(small, idle.cloud, "apply", "staging")
    assert refused.returncode == 1
    assert "Failed\n" in refused.stderr
    assert 'make terraform ENV=staging ARGS="state push errored.tfstate"' in refused.stderr


def bootstrap(
    small: Path, cloud: Cloud, programs: Path, *arguments: str, gh: str | None
) -> subprocess.CompletedProcess[str]:
    """`make bootstrap` on a machine where GitHub's program answers this, or is not there."""
    programs.mkdir(exist_ok=True)
    for name in ("terraform", "git"):
        if not (programs / name).exists():
            (programs / name).symlink_to(str(shutil.which(name)))
    if gh is not None:
        (programs / "gh").write_text(f"#!/bin/sh\nprintf '%s' '{gh}'\n")
        (programs / "gh").chmod(0o755)
    environment = {**cloud.environment, "PATH": str(programs) + ":/bin", "TF_CLI_ARGS_apply": "-auto-approve"}
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy", "bootstrap", *arguments],
        cwd=small,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.needs("terraform")
def test_bootstrap_asks_github_for_the_ids_once(idle: Site, small: Path, tmp_path: Path) -> None:
    answers = small / "infra" / "bootstrap" / "terraform.tfvars"
    programs = tmp_path / "programs"
    refused = bootstrap(small, idle.cloud, programs, gh="")
    assert refused.returncode == 1
    assert f"the ids of example/{PROJECT} are missing" in refused.stderr
    assert f"gh api repos/example/{PROJECT} --jq" in refused.stderr

    ids = "github_owner_id      = 12\ngithub_repository_id = 34\n"
    first_time = bootstrap(small, idle.cloud, programs, "staging", gh=ids)
    assert first_time.returncode == 0, first_time.stderr
    assert answers.read_text().endswith(ids)
    backend = small / "infra" / "bootstrap" / "backend.tf"
    assert 'backend "local"' in backend.read_text()

    # What the real configuration would have made.
    location = {"LocationConstraint": REGION}
    bucket = f"{PROJECT}-bootstrap-tfstate-{ACCOUNT}"
    idle.cloud.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    again = bootstrap(small, idle.cloud, programs, "staging", gh="")
    assert again.returncode == 0, again.stderr
    assert 'backend "s3"' in backend.read_text()
    assert idle.cloud.client("s3").list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "bootstrap.tfstate"
