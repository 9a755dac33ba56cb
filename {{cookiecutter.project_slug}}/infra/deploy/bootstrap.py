"""What all environments of an account share: its state lives in a bucket that it makes itself."""

import json
import re
import shutil
import subprocess
import sys
from typing import TextIO

import boto3
from botocore.exceptions import ClientError

from infra.deploy.environment import ENVIRONMENTS, INFRA, DeploymentError, read_tfvars
from infra.deploy.terraform import execute

_DIRECTORY = INFRA / "bootstrap"
_ANSWERS = _DIRECTORY / "terraform.tfvars"
_IDS = ("github_owner_id", "github_repository_id")


def bootstrap(environments: list[str]) -> None:
    """Make what the environments of this account share, or bring it up to date.

    Raises:
        DeploymentError: The repository's ids are not known.
    """
    _know_the_ids()
    _initialise(sys.stdout)
    chosen = sorted(environments) or list(ENVIRONMENTS)
    _terraform("apply", f"-var=environments={json.dumps(chosen)}")
    _initialise(sys.stdout, "-migrate-state", "-force-copy")


def run(arguments: list[str]) -> None:
    """Any command of Terraform's on this account's state."""
    _initialise(sys.stderr)
    _terraform(*arguments)


def _know_the_ids() -> None:
    """See that the tfvars hold the repository's numbers; GitHub's program knows them, where it is there."""
    text = _ANSWERS.read_text(encoding="utf-8")
    if re.search(r'^github_subject\s*=\s*"name"', text, re.MULTILINE):
        return
    if all(re.search(rf"^{name}\s*=", text, re.MULTILINE) for name in _IDS):
        return
    repository = read_tfvars(_ANSWERS)["github_repository"]
    lines = _ask_github(repository)
    if lines is None:
        raise DeploymentError(
            f"the ids of {repository} are missing: put what this prints into infra/bootstrap/terraform.tfvars: "
            f"gh api repos/{repository} --jq '{_LINES}'"
        )
    _ANSWERS.write_text(f"{text.rstrip()}\n\n{lines}", encoding="utf-8")
    print(f"wrote the ids of {repository} into infra/bootstrap/terraform.tfvars: commit it", file=sys.stderr)


_LINES = r'"github_owner_id      = \(.owner.id)\ngithub_repository_id = \(.id)"'


def _ask_github(repository: str) -> str | None:
    if shutil.which("gh") is None:
        return None
    answer = subprocess.run(
        ["gh", "api", f"repos/{repository}", "--jq", _LINES], check=False, capture_output=True, text=True
    )
    known = re.fullmatch(r"github_owner_id      = [0-9]+\ngithub_repository_id = [0-9]+\n?", answer.stdout)
    return answer.stdout if answer.returncode == 0 and known else None


def _initialise(output: TextIO, *options: str) -> None:
    """Point Terraform at the account's bucket; before there is one, at a file."""
    backend, settings = _state_in_the_bucket() if _exists(_bucket()) else _state_in_a_file()
    (_DIRECTORY / "backend.tf").write_text(f'terraform {{\n  backend "{backend}" {{}}\n}}\n', encoding="utf-8")
    places = [f"-backend-config={name}={value}" for name, value in settings.items()]
    _terraform("init", "-input=false", *(options or ["-reconfigure"]), *places, output=output)


def _state_in_the_bucket() -> tuple[str, dict[str, str]]:
    settings = {"bucket": _bucket(), "key": "bootstrap.tfstate", "region": _region()}
    return "s3", {**settings, "encrypt": "true", "use_lockfile": "true"}


def _state_in_a_file() -> tuple[str, dict[str, str]]:
    return "local", {"path": f"{_account()}.tfstate"}


def _exists(bucket: str) -> bool:
    try:
        boto3.client("s3", region_name=_region()).head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return False
    return True


def _bucket() -> str:
    return f"{read_tfvars(_ANSWERS)['project']}-bootstrap-tfstate-{_account()}"


def _region() -> str:
    return read_tfvars(_ANSWERS)["aws_region"]


def _account() -> str:
    return str(boto3.client("sts", region_name=_region()).get_caller_identity()["Account"])


def _terraform(*arguments: str, output: TextIO | None = None) -> None:
    execute(_DIRECTORY, f"bootstrap-{_account()}", *arguments, output=output)
