"""An environment on a simulated AWS, as far as a deployment sees it, for whoever tests deployments."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cloud import ACCOUNT, REGION, Cloud, simulated_cloud
from tests.making import free_port
from tests.test_cloud import PROJECT, deployment

NAME = f"{PROJECT}-staging"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{PROJECT}"
STATE = f"{PROJECT}-staging-tfstate-{ACCOUNT}"
LOCK = "staging.tfstate.tflock"
AUTHOR = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]


@dataclass
class Site:
    """An environment, as far as a deployment sees it, that already runs a first image."""

    cloud: Cloud
    project: Path
    secret: str
    owner_password: str
    service_password: str

    def deploy(self, image: str, *options: str) -> subprocess.CompletedProcess[str]:
        quick = ["--poll", "0.05", "--patience", "3", "--lock-patience", "0"]
        return deployment(self.project, self.cloud, "deploy", "staging", "--image", image, *quick, *options)

    def running_image(self) -> str:
        service = self.service()
        definition = self.cloud.client("ecs").describe_task_definition(taskDefinition=service["taskDefinition"])
        service, watcher, foreign = (each["image"] for each in definition["taskDefinition"]["containerDefinitions"])
        assert service == watcher
        assert foreign == "example.com/agent:1"
        return str(service).partition("@")[2]

    def service(self) -> dict[str, Any]:
        (service,) = self.cloud.client("ecs").describe_services(cluster=NAME, services=[NAME])["services"]
        return dict(service)

    def is_locked(self) -> bool:
        listing = self.cloud.client("s3").list_objects_v2(Bucket=STATE, Prefix=LOCK)
        return bool(listing["KeyCount"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


def make_site(cloud: Cloud, project: Path, url: str) -> Site:
    cloud.reset()
    cloud.stand_in_for_bootstrap(PROJECT)
    secrets, ecs, ec2 = cloud.client("secretsmanager"), cloud.client("ecs"), cloud.client("ec2")
    secret = secrets.create_secret(Name=f"{PROJECT}/staging/secret-key")["ARN"]
    owner_password = secrets.create_secret(Name="rds", SecretString="{}")["ARN"]
    service_password = secrets.create_secret(Name=f"{PROJECT}/staging/database")["ARN"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}
    ecs.create_cluster(clusterName=NAME)
    ours = {"image": f"{REPOSITORY}:none", "essential": True}
    migration = register(ecs, f"{NAME}-migration", {"name": "service", **ours})
    foreign = {"name": "from-elsewhere", "image": "example.com/agent:1", "essential": False}
    pattern = register(ecs, NAME, {"name": "service", **ours}, {"name": "watcher", **ours}, foreign)
    ecs.create_service(
        cluster=NAME,
        serviceName=NAME,
        taskDefinition=pattern,
        desiredCount=0,
        launchType="FARGATE",
        networkConfiguration=network,
    )
    known = {
        "cluster": NAME,
        "service": NAME,
        "container": "service",
        "task_definition": pattern,
        "migration": migration,
        "image_account": ACCOUNT,
        "image_repository": REPOSITORY,
        "subnets": [subnet],
        "security_groups": [group],
        "min_tasks": 2,
        "log_group": f"/{PROJECT}/staging/service",
        "secret_key": secret,
        "owner_password": owner_password,
        "service_password": service_password,
        "url": url,
        "subject_type": "integer",
        "rollout_seconds": 600,
    }
    cloud.client("ssm").put_parameter(Name=f"/{PROJECT}/staging/deployment", Type="String", Value=json.dumps(known))
    return Site(cloud, project, secret, owner_password, service_password)


def register(ecs: Any, family: str, *containers: dict[str, Any]) -> str:
    registered = ecs.register_task_definition(
        family=family,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=containers,
    )
    return str(registered["taskDefinition"]["taskDefinitionArn"])


@pytest.fixture
def idle(cloud: Cloud, project: Path) -> Site:
    """An environment in front of which nothing answers."""
    return make_site(cloud, project, f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def first(idle: Site) -> str:
    """The image that runs already."""
    digest = idle.cloud.push_image(PROJECT, "0001")
    deployed = idle.deploy(digest, "--without-smoke-test")
    assert deployed.returncode == 0, deployed.stderr
    return digest


@pytest.fixture
def small(idle: Site, tmp_path: Path) -> Path:
    """The deployment's commands beside an infrastructure of one output, as a repository."""
    infra = tmp_path / "small" / "infra"
    shutil.copytree(idle.project / "infra" / "deploy", infra / "deploy")
    for environment in ("staging", "production"):
        shutil.copy(idle.project / "infra" / f"{environment}.tfvars", infra)
    shutil.copy(idle.project / "infra" / "rds-ca.pem", infra)
    (infra / "main.tf").write_text('terraform {\n  backend "s3" {\n    use_lockfile = true\n  }\n}\n')
    (infra / "output.tf").write_text('output "dashboard" {\n  value = "of staging"\n}\n')
    (infra / "bootstrap").mkdir()
    shutil.copy(idle.project / "infra" / "bootstrap" / "terraform.tfvars", infra / "bootstrap")
    (infra / "bootstrap" / "output.tf").write_text(
        'variable "environments" {\n  default = []\n}\noutput "bucket" {\n  value = "of all"\n}\n'
    )
    shutil.copy(idle.project / ".gitignore", infra.parent)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "First"]):
        subprocess.run(["git", *AUTHOR, *command], cwd=infra.parent, check=True)
    return infra.parent
