"""Terraform with the state of the right account and environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import boto3

from infra.deploy.environment import INFRA, Environment, read_tfvars

_BOOTSTRAP = INFRA / "bootstrap"


def plan(environment: Environment, *arguments: str) -> None:
    """Show what would change, and keep it for `apply`."""
    _initialise(environment)
    _run(INFRA, environment.name, "plan", "-input=false", f"-var-file={environment.name}.tfvars", *arguments)


def apply(environment: Environment) -> None:
    """Do what the last plan showed."""
    _initialise(environment)
    _run(INFRA, environment.name, "apply", "-input=false", "-lock-timeout=30m", _plan_file(environment))


def run(environment: Environment, arguments: list[str]) -> None:
    """Any command of Terraform's on the environment's state."""
    _initialise(environment)
    _run(INFRA, environment.name, *arguments)


def run_on_bootstrap(arguments: list[str]) -> None:
    """Any command of Terraform's on the state of what all environments share."""
    _run(_BOOTSTRAP, "bootstrap", "init", "-input=false", output=sys.stderr)
    _run(_BOOTSTRAP, "bootstrap", *arguments)


def keep_plan(environment: Environment) -> str:
    return f"-out={_plan_file(environment)}"


def bootstrap() -> None:
    """Make what all environments share; its state moves into the bucket that it makes."""
    answers = read_tfvars(_BOOTSTRAP / "terraform.tfvars")
    backend = _BOOTSTRAP / "backend.tf"
    _run(_BOOTSTRAP, "bootstrap", "init", "-input=false")
    _run(_BOOTSTRAP, "bootstrap", "apply")
    if backend.exists():
        return
    account = boto3.client("sts", region_name=answers["aws_region"]).get_caller_identity()["Account"]
    bucket = f"{answers['project']}-terraform-state-{account}"
    backend.write_text(_BACKEND.format(bucket=bucket, region=answers["aws_region"]), encoding="utf-8")
    _run(_BOOTSTRAP, "bootstrap", "init", "-input=false", "-migrate-state", "-force-copy")


_BACKEND = """\
# Written by `make bootstrap` after the bucket existed. Commit it.

terraform {{
  backend "s3" {{
    bucket       = "{bucket}"
    key          = "bootstrap.tfstate"
    region       = "{region}"
    encrypt      = true
    use_lockfile = true
  }}
}}
"""


def _plan_file(environment: Environment) -> str:
    return f"{environment.name}.tfplan"


def _initialise(environment: Environment) -> None:
    settings = {"bucket": environment.state_bucket, "key": environment.state_key, "region": environment.region}
    options = [f"-backend-config={name}={value}" for name, value in settings.items()]
    _run(INFRA, environment.name, "init", "-input=false", "-reconfigure", *options, output=sys.stderr)


def _run(directory: Path, data: str, *arguments: str, output: TextIO | None = None) -> None:
    settings = {**os.environ, "TF_DATA_DIR": f".terraform/{data}"}
    subprocess.run(["terraform", f"-chdir={directory}", *arguments], check=True, env=settings, stdout=output)
