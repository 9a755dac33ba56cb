"""An environment: what its tfvars call it, and what Terraform left for deployments to know about it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import ClientError

INFRA = Path(__file__).resolve().parents[1]
ENVIRONMENTS = ("staging", "production")


class DeploymentError(Exception):
    """It did not work. The message says what is left running and what to do."""


@dataclass(frozen=True)
class Deployment:
    """The parameter that infra/deployment.tf writes."""

    cluster: str
    service: str
    container: str
    task_definition: str
    migration: str
    image_account: str
    image_repository: str
    subnets: list[str]
    security_groups: list[str]
    min_tasks: int
    log_group: str
    secret_key: str
    owner_password: str
    service_password: str
    url: str
    subject_type: str
    rollout_seconds: int


class Environment:
    """One environment, and AWS as its region shows it."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self.name = name
        self.say = say
        self._answers = read_tfvars(INFRA / f"{name}.tfvars")

    @property
    def project(self) -> str:
        return self._answers["project"]

    @property
    def region(self) -> str:
        return self._answers["aws_region"]

    @property
    def architecture(self) -> str:
        """What its tasks run on, as images call it."""
        return "arm64" if self._answers.get("architecture") == "ARM64" else "amd64"

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=self.region)

    @cached_property
    def account(self) -> str:
        return str(self.client("sts").get_caller_identity()["Account"])

    @property
    def state_bucket(self) -> str:
        return f"{self.project}-{self.name}-tfstate-{self.account}"

    @property
    def state_key(self) -> str:
        return f"{self.name}.tfstate"

    @cached_property
    def deployment(self) -> Deployment:
        """What a deployment has to know.

        Raises:
            DeploymentError: There is no such environment yet.
        """
        name = f"/{self.project}/{self.name}/deployment"
        try:
            value = self.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            raise DeploymentError(f"{self.name} does not exist yet: make plan apply ENV={self.name}") from None
        return Deployment(**json.loads(value))


def read_tfvars(path: Path) -> dict[str, str]:
    """The texts in a tfvars file."""
    return dict(re.findall(r'^(\w+)\s*=\s*"([^"]*)"', path.read_text(encoding="utf-8"), re.MULTILINE))
