"""Terraform with the state of the right account and environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from infra.deploy.environment import INFRA, Environment


def plan(environment: Environment, *arguments: str) -> None:
    """Show what would change, and keep it for `apply`."""
    _initialise(environment)
    execute(INFRA, environment.name, "plan", "-input=false", f"-var-file={environment.name}.tfvars", *arguments)


def apply(environment: Environment) -> None:
    """Do what the last plan showed."""
    _initialise(environment)
    execute(INFRA, environment.name, "apply", "-input=false", "-lock-timeout=30m", _plan_file(environment))


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


def execute(directory: Path, data: str, *arguments: str, output: TextIO | None = None) -> None:
    """Run Terraform in a directory, with what it downloads kept apart."""
    settings = {**os.environ, "TF_DATA_DIR": f".terraform/{data}"}
    subprocess.run(["terraform", f"-chdir={directory}", *arguments], check=True, env=settings, stdout=output)
