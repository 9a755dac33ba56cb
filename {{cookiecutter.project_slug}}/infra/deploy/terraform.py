"""Terraform with the state of the right account and environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from botocore.exceptions import ClientError

from infra.deploy.environment import INFRA, DeploymentError, Environment


def plan(environment: Environment, *arguments: str) -> None:
    """Show what would change, and keep it for `apply`."""
    _initialise(environment)
    execute(INFRA, environment.name, "plan", "-input=false", f"-var-file={environment.name}.tfvars", *arguments)


def apply(environment: Environment) -> None:
    """Do what the last plan showed.

    Raises:
        DeploymentError: The plan went stale, or the state could not be written.
    """
    _initialise(environment)
    try:
        arguments = ["apply", "-input=false", "-lock-timeout=30m", _plan_file(environment)]
        execute(INFRA, environment.name, *arguments, errors=subprocess.PIPE)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr)
        if "Saved plan is stale" in error.stderr:
            raise DeploymentError(
                f"{environment.name} has changed since the plan was made, so nothing was done: plan again, look, and "
                f"apply (make plan apply ENV={environment.name}; on GitHub, re-run all jobs)"
            ) from None
        if (INFRA / "errored.tfstate").exists():
            raise DeploymentError(
                f"{environment.name} was changed, and its state could not be written: it is in infra/errored.tfstate "
                f"(on GitHub, an artifact of the run). Put it there before anything else: "
                f'make terraform ENV={environment.name} ARGS="state push errored.tfstate"'
            ) from None
        raise


def keep(environment: Environment, name: str) -> None:
    """Keep the plan next to the state, for whoever is let in to apply it."""
    environment.client("s3").upload_file(str(INFRA / _plan_file(environment)), environment.state_bucket, _kept(name))


def fetch(environment: Environment, name: str) -> None:
    """Take a plan that was kept.

    Raises:
        DeploymentError: There is none of this name.
    """
    try:
        answer = environment.client("s3").get_object(Bucket=environment.state_bucket, Key=_kept(name))
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "AccessDenied"}:
            raise
        raise DeploymentError(
            f"there is no plan {name} of {environment.name}: it is the number in the address of a run of Terraform on "
            f"main that planned {environment.name}, at most seven days ago"
        ) from None
    (INFRA / _plan_file(environment)).write_bytes(answer["Body"].read())


def _kept(name: str) -> str:
    return f"plans/{name}.tfplan"


def run(environment: Environment, arguments: list[str]) -> None:
    """Any command of Terraform's on the environment's state."""
    _initialise(environment)
    execute(INFRA, environment.name, *arguments)


def keep_plan(environment: Environment) -> str:
    return f"-out={_plan_file(environment)}"


def _plan_file(environment: Environment) -> str:
    return f"{environment.name}.tfplan"


def _initialise(environment: Environment) -> None:
    settings = {"bucket": environment.state_bucket, "key": environment.state_key, "region": environment.region}
    options = [f"-backend-config={name}={value}" for name, value in settings.items()]
    execute(INFRA, environment.name, "init", "-input=false", "-reconfigure", *options, output=sys.stderr)


def execute(
    directory: Path, data: str, *arguments: str, output: TextIO | None = None, errors: int | None = None
) -> None:
    """Run Terraform in a directory, with what it downloads kept apart."""
    settings = {**os.environ, "TF_DATA_DIR": f".terraform/{data}"}
    command = ["terraform", f"-chdir={directory}", *arguments]
    subprocess.run(command, check=True, env=settings, stdout=output, stderr=errors, text=True)
