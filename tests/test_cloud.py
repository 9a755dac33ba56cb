"""From an empty account to a running environment and back, on a simulator of AWS (its limits: docs/deploy.md)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import exposure, ownership
from tests.bakery import bake
from tests.cloud import ACCOUNT, GITHUB_IDS, REGION, Cloud, Terraform, simulated_cloud
from tests.exposure import by_type

pytestmark = [pytest.mark.needs("terraform")]

PROJECT = "live-service"
LIVES = {
    "with a domain, Valkey, firewall and pages": {
        "valkey": "true",
        "requests_per_address": "1000",
        "architecture": "ARM64",
        "scheduled_tasks": '{morning={schedule="cron(30 7 ? * MON-FRI *)",min=2,max=4}}',
    },
    "without any of them, and without NAT gateways": {
        "domain_name": "",
        "hosted_zone_name": "",
        "nat_gateways": "0",
        "public_pages": "false",
    },
}
one, another = LIVES
LIVED = [one, another] if os.environ.get("INFRA") == "full" else [one]
"""`make infra-test` has four more minutes."""


def deployment(project: Path, cloud: Cloud, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the project's deployment command against the simulator."""
    command = [sys.executable, "-m", "infra.deploy", *arguments]
    return subprocess.run(
        command, cwd=project, env=cloud.environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("life", LIVED)
def test_the_life_of_an_environment(template: Path, tmp_path: Path, life: str) -> None:
    project = bake(template, tmp_path, domain_name="example.com")
    choices = [f"-var={name}={value}" for name, value in LIVES[life].items()]
    with simulated_cloud(tmp_path) as cloud:
        cloud.make_zone("example.com")
        bootstrap = Terraform(project / "infra" / "bootstrap", cloud.environment)
        bootstrap.run("init", "-input=false", "-lockfile=readonly")
        ids = [f"-var={each}" for each in GITHUB_IDS]
        bootstrap.run("apply", "-input=false", "-auto-approve", *ids)
        assert "No changes." in bootstrap.run("plan", "-input=false", "-detailed-exitcode", *ids)
        assert "prevent_destroy" in bootstrap.attempt("destroy", "-input=false", "-auto-approve", *ids).stderr

        before = cloud.holdings(f"{PROJECT}-staging")
        state = {"bucket": f"{PROJECT}-staging-tfstate-{ACCOUNT}", "key": "staging.tfstate", "region": REGION}
        infra = Terraform(project / "infra", cloud.environment)
        settings = [f"-backend-config={name}={value}" for name, value in state.items()]
        infra.run("init", "-input=false", "-lockfile=readonly", *settings)
        infra.run("plan", "-input=false", "-var-file=staging.tfvars", *choices, "-out=staging.tfplan")
        infra.run("apply", "-input=false", "staging.tfplan")

        resources = by_type(json.loads(infra.run("show", "-json"))["values"]["root_module"])
        exposure.assert_only_the_load_balancer_is_public(resources)
        exposure.assert_only_named_paths_reach_tasks(resources, pages="nat_gateways" not in LIVES[life])
        exposure.assert_everything_is_encrypted(resources)
        exposure.assert_what_was_checked_is_what_runs(resources)
        exposure.assert_containers_are_confined(resources)
        ownership.assert_only_migrations_own_the_database(resources)
        exposure.assert_no_role_may_do_everything(resources)
        exposure.assert_roles_are_bounded(resources)
        shared = by_type(json.loads(bootstrap.run("show", "-json"))["values"]["root_module"])
        exposure.assert_no_role_may_do_everything(shared)
        exposure.assert_roles_are_for_aws_itself(resources)

        # A deployment moves what Terraform must leave alone.
        digest = cloud.push_image(PROJECT, "900d")
        deployed = deployment(
            project, cloud, "deploy", "staging", "--image", digest, "--poll", "0.1", "--without-smoke-test"
        )
        assert deployed.returncode == 0, deployed.stderr

        again = ["-input=false", "-var-file=staging.tfvars", *choices]
        assert "No changes." in infra.run("plan", *again, "-detailed-exitcode")
        infra.run("destroy", *again, "-auto-approve")
        left = cloud.holdings(f"{PROJECT}-staging")
        assert left.keys() == before.keys() == {"key alias", "role"}  # bootstrap's
        assert cloud.failures() == []
