"""A production with everything, as a plan shows it: what is open, encrypted, bounded, and how long names are."""

import json
from pathlib import Path

import pytest

from tests import exposure
from tests.bakery import bake
from tests.cloud import Terraform, simulated_cloud
from tests.exposure import Resources, by_type

needs_terraform = pytest.mark.needs("terraform")


@pytest.fixture(scope="module")
def production(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    """What a production with everything would consist of, as far as a plan knows it."""
    directory = tmp_path_factory.mktemp("production")
    infra = bake(template, directory, domain_name="example.com") / "infra"
    (infra / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    with simulated_cloud(directory) as cloud:
        cloud.make_zone("example.com")
        terraform = Terraform(infra, cloud.environment)
        terraform.run("init", "-input=false", "-lockfile=readonly")
        terraform.run("plan", "-input=false", "-out=plan", "-var-file=production.tfvars", "-var=valkey=true")
        plan = json.loads(terraform.run("show", "-json", "plan"))
    return by_type(plan["planned_values"]["root_module"])


# How long AWS lets a name be.
LONGEST = {
    "aws_lb": 32,
    "aws_lb_target_group": 32,
    "aws_elasticache_replication_group": 40,
    "aws_db_instance": 63,
    "aws_iam_role": 64,
    "aws_wafv2_web_acl": 128,
    "aws_ecs_cluster": 255,
    "aws_ecs_service": 255,
    "aws_ecs_task_definition": 255,
    "aws_security_group": 255,
}


@needs_terraform
def test_every_name_is_short_enough_for_the_longest_slug(production: Resources) -> None:
    for kind, longest in LONGEST.items():
        for resource in production[kind]:
            name = next(
                resource[key] for key in ("identifier", "replication_group_id", "family", "name") if resource.get(key)
            )
            assert name.startswith("live-service-production")
            assert len(name) - len("live-service") + 20 <= longest, name
    assert len("a" * 20 + "-production-tfstate-" + "1" * 12) <= 63  # a bucket's


@needs_terraform
def test_a_size_that_fargate_lacks_is_refused_with_those_that_it_has(template: Path, tmp_path: Path) -> None:
    infra = bake(template, tmp_path, domain_name="example.com") / "infra"
    (infra / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    with simulated_cloud(tmp_path) as cloud:
        terraform = Terraform(infra, cloud.environment)
        terraform.run("init", "-input=false", "-lockfile=readonly")
        refused = terraform.attempt("plan", "-input=false", "-var-file=production.tfvars", "-var=task_memory=2560")
    assert refused.returncode == 1
    said = " ".join(refused.stderr.replace("│", " ").split())
    assert "task_memory does not fit task_cpu. Fargate offers, in MiB:" in said
    assert "2048 to 8192 with 1024" in said


@needs_terraform
def test_production_as_planned(production: Resources) -> None:
    exposure.assert_only_the_load_balancer_is_public(production)
    exposure.assert_only_named_paths_reach_tasks(production, pages=False)
    exposure.assert_tls(production)
    exposure.assert_everything_is_encrypted(production)
    exposure.assert_nothing_secret_is_known(production)
    exposure.assert_roles_are_for_aws_itself(production)
    exposure.assert_roles_are_bounded(production)
    assert production["aws_wafv2_web_acl_association"]
    assert production["aws_db_instance"][0]["multi_az"]
