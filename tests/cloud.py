"""A cloud to try things on: the simulator as a process, Terraform pointed at it, and what is in it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.bakery import ROOT
from tests.making import free_port

ACCOUNT = "123456789012"
REGION = "eu-central-1"
GITHUB_IDS = ("github_owner_id=1234567", "github_repository_id=7654321")
# Machines without the internet keep Terraform's providers in a directory of this shape.
MIRRORS = ("/opt", "/usr/local/share", "/usr/share", "/usr/local", str(Path.home()))


class Cloud:
    """A running simulator."""

    def __init__(self, port: int, log: Path) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._log = log

    @property
    def environment(self) -> dict[str, str]:
        """What points Terraform, boto3 and the deployment here: variables, and nothing else."""
        return {
            **os.environ,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "3",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def reset(self) -> None:
        """Forget everything."""
        urllib.request.urlopen(f"{self.endpoint}/moto-api/reset", data=b"", timeout=30).close()

    def let_tasks_change_every(self, looks: int) -> None:
        """After how many looks a task goes to the next state of its life, from RUNNING to DEACTIVATING and STOPPED."""
        change = {"model_name": "ecs::task", "transition": {"progression": "manual", "times": looks}}
        address = f"{self.endpoint}/moto-api/state-manager/set-transition"
        urllib.request.urlopen(address, data=json.dumps(change).encode(), timeout=30).close()

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def holdings(self, environment: str) -> dict[str, list[str]]:
        """What there is of an environment, by kind; without the kinds of which there is nothing."""
        found = {
            kind: [
                text
                for thing in self._list(*where, environment)
                if environment in (text := json.dumps(thing, default=str)) and not GONE.search(text)
            ]
            for kind, where in KINDS.items()
        }
        return {kind: things for kind, things in found.items() if things}

    def _list(self, service: str, operation: str, key: str, environment: str) -> list[Any]:
        needed: dict[str, dict[str, Any]] = {"wafv2": {"Scope": "REGIONAL"}, "ecs": {"clusters": [environment]}}
        answer = getattr(self.client(service), operation)(**needed.get(service, {}))
        things: list[Any] = answer[key]
        return things

    def failures(self) -> list[str]:
        """Requests that the simulator could not answer."""
        return [line for line in self._log.read_text().splitlines() if re.search(r'" 5\d\d ', line)]

    def make_zone(self, name: str) -> None:
        self.client("route53").create_hosted_zone(Name=name, CallerReference=name)

    def stand_in_for_bootstrap(self, project: str) -> None:
        """What of infra/bootstrap deployments need."""
        location = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(
            Bucket=f"{project}-staging-tfstate-{ACCOUNT}", CreateBucketConfiguration=location
        )
        self.client("ecr").create_repository(repositoryName=project)

    def push_image(self, project: str, digest: str, tag: str | None = None) -> str:
        """An image that plays the part of its digest's first letters (tests.simulator.PARTS)."""
        full = f"sha256:{digest.ljust(64, '0')}"
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "name": digest}
        self.client("ecr").put_image(
            repositoryName=project,
            imageManifest=json.dumps(manifest),
            imageTag=tag or f"tag-{digest}",
            imageDigest=full,
        )
        return full


# AWS, too, shows some things for a while after they are gone.
GONE = re.compile('"(State|status)": "(deleted|INACTIVE)"')
# How to list each kind of thing that infra/ makes.
KINDS = {
    "address": ("ec2", "describe_addresses", "Addresses"),
    "alarm": ("cloudwatch", "describe_alarms", "MetricAlarms"),
    "certificate": ("acm", "list_certificates", "CertificateSummaryList"),
    "cluster": ("ecs", "describe_clusters", "clusters"),
    "dashboard": ("cloudwatch", "list_dashboards", "DashboardEntries"),
    "database": ("rds", "describe_db_instances", "DBInstances"),
    "database parameters": ("rds", "describe_db_parameter_groups", "DBParameterGroups"),
    "database subnets": ("rds", "describe_db_subnet_groups", "DBSubnetGroups"),
    "endpoint": ("ec2", "describe_vpc_endpoints", "VpcEndpoints"),
    "firewall": ("wafv2", "list_web_acls", "WebACLs"),
    "flow log": ("ec2", "describe_flow_logs", "FlowLogs"),
    "internet gateway": ("ec2", "describe_internet_gateways", "InternetGateways"),
    "key alias": ("kms", "list_aliases", "Aliases"),
    "load balancer": ("elbv2", "describe_load_balancers", "LoadBalancers"),
    "log": ("logs", "describe_log_groups", "logGroups"),
    "network": ("ec2", "describe_vpcs", "Vpcs"),
    "parameter": ("ssm", "describe_parameters", "Parameters"),
    "role": ("iam", "list_roles", "Roles"),
    "route table": ("ec2", "describe_route_tables", "RouteTables"),
    "secret": ("secretsmanager", "list_secrets", "SecretList"),
    "security group": ("ec2", "describe_security_groups", "SecurityGroups"),
    "subnet": ("ec2", "describe_subnets", "Subnets"),
    "target group": ("elbv2", "describe_target_groups", "TargetGroups"),
    "topic": ("sns", "list_topics", "Topics"),
    "valkey": ("elasticache", "describe_replication_groups", "ReplicationGroups"),
    "valkey parameters": ("elasticache", "describe_cache_parameter_groups", "CacheParameterGroups"),
    "valkey subnets": ("elasticache", "describe_cache_subnet_groups", "CacheSubnetGroups"),
}


@contextmanager
def simulated_cloud(directory: Path) -> Iterator[Cloud]:
    """A fresh simulator while the block runs."""
    port = free_port()
    log = directory / "simulator.log"
    environment = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "MOTO_ACCOUNT_ID": ACCOUNT}
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.simulator", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(port, server, log)
            yield Cloud(port, log)
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"the simulator did not start:\n{log.read_text()}")


def terraform_config(directory: Path) -> Path:
    """A CLI configuration that takes providers from this machine where it has them, else from their registry."""
    found = [path.parents[2] for root in MIRRORS for path in Path(root).glob("*/registry.terraform.io/hashicorp/aws")]
    mirror = f'filesystem_mirror {{ path = "{found[0]}" }}\n' if found else "direct {}\n"
    config = directory / "terraformrc"
    config.write_text(f"provider_installation {{\n{mirror}}}\n")
    return config


class Terraform:
    """Terraform in one directory."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory = directory
        config = terraform_config(directory.parent)
        self.environment = {**environment, "TF_CLI_CONFIG_FILE": str(config), "TF_IN_AUTOMATION": "1"}

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, *options = arguments
        return subprocess.run(
            ["terraform", f"-chdir={self.directory}", command, "-no-color", *options],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, *arguments: str) -> str:
        result = self.attempt(*arguments)
        assert result.returncode == 0, result.stdout[-4000:] + result.stderr
        return result.stdout
