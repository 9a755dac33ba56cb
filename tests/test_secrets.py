"""What only Secrets Manager knows: made once, changed on purpose."""

import json
import subprocess

from tests.site import NAME, REPOSITORY, Site, register
from tests.test_cloud import PROJECT, deployment


def test_the_secret_key_is_rotated_in_three_steps(idle: Site, first: str) -> None:
    assert first
    client = idle.cloud.client("secretsmanager")

    def keys() -> list[str]:
        return str(client.get_secret_value(SecretId=idle.secret)["SecretString"]).split(",")

    def step(name: str) -> int:
        return deployment(idle.project, idle.cloud, "secret-key", "staging", name).returncode

    (old,) = keys()
    assert step("promote") == 1
    assert step("add") == 0
    assert keys()[0] == old
    new = keys()[1]
    assert step("add") == 1
    assert step("promote") == 0
    assert keys() == [new, old]
    assert step("retire") == 0
    assert keys() == [new]


def current_version(site: Site, secret: str) -> str:
    stages = site.cloud.client("secretsmanager").describe_secret(SecretId=secret)["VersionIdsToStages"]
    return str(next(version for version, names in stages.items() if "AWSCURRENT" in names))


def password(site: Site) -> str:
    """What the service logs in to the database with."""
    return str(site.cloud.client("secretsmanager").get_secret_value(SecretId=site.service_password)["SecretString"])


def migrated(site: Site) -> list[str]:
    """The images that have migrated, one after the other."""
    ecs, images = site.cloud.client("ecs"), {}
    for arn in ecs.list_task_definitions(familyPrefix=f"{NAME}-migration")["taskDefinitionArns"]:
        definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
        images[definition["revision"]] = definition["containerDefinitions"][0]["image"]
    return [images[revision].partition("@")[2] for revision in sorted(images) if "@" in images[revision]]


def rotate(site: Site) -> subprocess.CompletedProcess[str]:
    quick = ["--poll", "0.05", "--lock-patience", "0"]
    return deployment(site.project, site.cloud, "rotate-database", "staging", *quick)


def test_the_first_deployment_makes_the_services_password_and_the_next_keep_it(idle: Site, first: str) -> None:
    made = password(idle)
    assert len(made) > 40
    second = idle.cloud.push_image(PROJECT, "0002")
    assert idle.deploy(second, "--without-smoke-test").returncode == 0
    assert password(idle) == made
    assert migrated(idle) == [first, second]


def test_both_passwords_change_on_purpose_the_database_is_told_and_tasks_follow(idle: Site, first: str) -> None:
    owners, services = current_version(idle, idle.owner_password), password(idle)
    started = idle.service()["deployments"][0]["id"]
    rotated = rotate(idle)
    assert rotated.returncode == 0, rotated.stderr
    assert current_version(idle, idle.owner_password) != owners
    assert password(idle) != services
    assert migrated(idle) == [first, first]
    assert idle.service()["deployments"][0]["id"] != started
    assert idle.running_image() == first


def test_a_password_that_the_database_was_not_told_is_taken_back(idle: Site) -> None:
    digest = idle.cloud.push_image(PROJECT, "0001")
    assert idle.deploy(digest, "--without-smoke-test").returncode == 0
    before = current_version(idle, idle.service_password)
    ecs, ssm = idle.cloud.client("ecs"), idle.cloud.client("ssm")
    name = f"/{PROJECT}/staging/deployment"
    known = json.loads(ssm.get_parameter(Name=name)["Parameter"]["Value"])
    failing = {"name": "service", "image": f"{REPOSITORY}@sha256:{'fa11'.ljust(64, '0')}", "essential": True}
    known["migration"] = register(ecs, f"{NAME}-migration", failing)
    ssm.put_parameter(Name=name, Type="String", Value=json.dumps(known), Overwrite=True)
    refused = rotate(idle)
    assert refused.returncode == 1
    assert "the migration failed" in refused.stderr
    assert current_version(idle, idle.service_password) == before
