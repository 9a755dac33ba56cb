"""A deployment: that it works, and what it does when something does not."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.cloud import ACCOUNT, REGION, Cloud, Terraform, simulated_cloud
from tests.test_cloud import PROJECT, deployment
from tests.test_project import free_port, wait_for

NAME = f"{PROJECT}-staging"
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{PROJECT}"
STATE = f"{PROJECT}-staging-tfstate-{ACCOUNT}"
LOCK = "staging.tfstate.tflock"
KEY = "0123456789abcdef" * 4
AUTHOR = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
DEPLOY = [sys.executable, "-m", "infra.deploy", "deploy", "staging"]


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


@contextmanager
def running_service(project: Path, directory: Path, log: Path, settings: dict[str, str]) -> Iterator[None]:
    """The service itself, on a database of its own."""
    environment = {**os.environ, **settings, "PYTHONPATH": str(project)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"], cwd=directory, env=environment, stdout=output, stderr=output
        )
        try:
            wait_for("Application startup complete|Listening at|startup", log, process)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=30)


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


def test_the_first_deployment_makes_the_key_and_starts_the_least_tasks(idle: Site, first: str) -> None:
    assert idle.running_image() == first
    assert idle.service()["desiredCount"] == 2
    value = idle.cloud.client("secretsmanager").get_secret_value(SecretId=idle.secret)["SecretString"]
    assert len(value) == 64
    assert not idle.is_locked()


def test_a_deployment_leaves_the_count_to_scaling(idle: Site, first: str) -> None:
    idle.cloud.client("ecs").update_service(cluster=NAME, service=NAME, desiredCount=5)
    digest = idle.cloud.push_image(PROJECT, "0002")
    assert idle.deploy(digest, "--without-smoke-test").returncode == 0
    assert idle.running_image() == digest != first
    assert idle.service()["desiredCount"] == 5


def test_tasks_are_replaced_without_another_image(idle: Site) -> None:
    refused = idle.deploy("running", "--without-smoke-test")
    assert refused.returncode == 1
    assert "staging runs no image yet. Nothing was changed." in refused.stderr
    digest = idle.cloud.push_image(PROJECT, "0001")
    definitions = set()
    for image in (digest, "running"):
        deployed = idle.deploy(image, "--without-smoke-test")
        assert deployed.returncode == 0, deployed.stderr
        assert idle.running_image() == digest
        definitions.add(idle.service()["taskDefinition"])
    assert len(definitions) == 2


def test_a_failing_migration_stops_the_deployment(idle: Site, first: str) -> None:
    refused = idle.deploy(idle.cloud.push_image(PROJECT, "fa11"), "--without-smoke-test")
    assert refused.returncode == 1
    assert "the migration failed (exit code 2)" in refused.stderr
    assert idle.running_image() == first
    assert not idle.is_locked()


@pytest.mark.parametrize(("digest", "complaint"), [("bad0", "ECS rolled them back"), ("dead", "not stable after 3 s")])
def test_an_image_that_does_not_become_stable_is_rolled_back(
    idle: Site, first: str, digest: str, complaint: str
) -> None:
    refused = idle.deploy(idle.cloud.push_image(PROJECT, digest), "--without-smoke-test")
    assert refused.returncode == 1
    assert complaint in refused.stderr
    assert "Rolled back" in refused.stderr
    assert idle.running_image() == first
    assert not idle.is_locked()


@pytest.mark.parametrize("digest", ["bad0", "dead", "0001"], ids=["ECS goes back first", "we go back", "no answer"])
def test_a_first_deployment_that_fails_leaves_no_task_behind(idle: Site, digest: str) -> None:
    """ECS alone would go on starting tasks of an image that does not exist."""
    options = [] if digest == "0001" else ["--without-smoke-test"]
    refused = idle.deploy(idle.cloud.push_image(PROJECT, digest), *options)
    assert refused.returncode == 1
    assert "Nothing ran before, so nothing runs now: the service is back at 0 tasks." in refused.stderr
    assert "Rolled back" not in refused.stderr
    assert idle.service()["desiredCount"] == 0
    assert not idle.is_locked()


def test_an_image_that_does_not_serve_is_rolled_back(idle: Site, first: str) -> None:
    refused = idle.deploy(idle.cloud.push_image(PROJECT, "0002"))
    assert refused.returncode == 1
    assert "the smoke test failed" in refused.stderr
    assert idle.running_image() == first


def test_an_image_that_serves_a_client_is_deployed(cloud: Cloud, project: Path, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "service.log"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "SECRET_KEY": KEY, "DRAIN_SECONDS": "1"}
    place = make_site(cloud, project, f"http://127.0.0.1:{port}")
    cloud.client("secretsmanager").put_secret_value(SecretId=place.secret, SecretString=KEY)
    digest = cloud.push_image(PROJECT, "0001")
    with running_service(project, tmp_path, log, settings):
        deployed = place.deploy(digest)
    assert deployed.returncode == 0, deployed.stderr
    assert f"http://127.0.0.1:{port} serves" in deployed.stderr
    assert place.running_image() == digest
    assert KEY not in deployed.stdout + deployed.stderr


def provider_with_a_client(answer: dict[str, str], asked: list[dict[str, list[str]]]) -> type[BaseHTTPRequestHandler]:
    """An identity provider that gives tokens to programs (RFC 6749 §4.4)."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    return Handler


def test_a_token_for_the_smoke_test_comes_from_the_identity_provider(
    idle: Site, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, list[str]]] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), provider_with_a_client({"access_token": "abc"}, asked)) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            monkeypatch.setenv("SMOKE_TOKEN_URL", f"http://127.0.0.1:{server.server_port}/token")
            monkeypatch.setenv("SMOKE_CLIENT_ID", "smoke")
            monkeypatch.setenv("SMOKE_CLIENT_SECRET", "secret")
            monkeypatch.setenv("SMOKE_AUDIENCE", "live")
            refused = idle.deploy(idle.cloud.push_image(PROJECT, "0002"))  # nothing answers in front of it
        finally:
            server.shutdown()
    assert asked == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["smoke"],
            "client_secret": ["secret"],
            "audience": ["live"],
        }
    ]
    assert "the smoke test failed" in refused.stderr
    assert "secret" not in refused.stderr.replace("make secret-key", "")
    assert idle.running_image() == first


def test_without_a_smoke_test_there_is_a_warning_and_without_a_token_a_sentence(
    idle: Site, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first
    silent = idle.deploy(idle.cloud.push_image(PROJECT, "0002"), "--without-smoke-test")
    assert "warning: without a smoke test" in silent.stderr
    monkeypatch.setenv("SMOKE_TOKEN_URL", f"http://127.0.0.1:{free_port()}/token")
    refused = idle.deploy(idle.cloud.push_image(PROJECT, "0003"))
    assert refused.returncode == 1
    assert "gave no token for the smoke test" in refused.stderr


def test_a_missing_image_changes_nothing(idle: Site, first: str) -> None:
    refused = idle.deploy("sha256:" + "0" * 64)
    assert refused.returncode == 1
    assert "there is no image sha256:0000" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert idle.running_image() == first


def test_a_foreign_lock_is_respected(idle: Site, first: str) -> None:
    note = {"ID": "f00", "Operation": "OperationTypeApply", "Who": "ann@laptop", "Created": "2026-11-22T10:00:00Z"}
    idle.cloud.client("s3").put_object(Bucket=STATE, Key=LOCK, Body=json.dumps(note))
    refused = idle.deploy(idle.cloud.push_image(PROJECT, "0002"), "--without-smoke-test")
    assert refused.returncode == 1
    assert "OperationTypeApply by ann@laptop since 2026-11-22T10:00:00Z" in refused.stderr
    assert 'make terraform ENV=staging ARGS="force-unlock f00"' in refused.stderr
    assert idle.running_image() == first
    assert idle.is_locked()


@pytest.mark.needs("terraform")
def test_terraform_respects_the_lock_of_a_deployment(idle: Site, first: str, tmp_path: Path) -> None:
    assert first
    directory = tmp_path / "other" / "infra"
    directory.mkdir(parents=True)
    (directory / "main.tf").write_text('terraform {\n  backend "s3" {\n    use_lockfile = true\n  }\n}\n')
    terraform = Terraform(directory, idle.cloud.environment)
    settings = {"bucket": STATE, "key": "staging.tfstate", "region": REGION}
    terraform.run("init", "-input=false", *(f"-backend-config={name}={value}" for name, value in settings.items()))
    image = idle.cloud.push_image(PROJECT, "dead")
    slow = subprocess.Popen(
        [*DEPLOY, "--image", image, "--poll", "0.1", "--patience", "20", "--without-smoke-test"],
        cwd=idle.project,
        env=idle.cloud.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while not idle.is_locked():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        refused = terraform.attempt("plan", "-input=false")
        assert refused.returncode == 1
        assert "Error acquiring the state lock" in refused.stderr
        assert "Deployment" in refused.stderr
    finally:
        slow.terminate()  # as a cancelled workflow does
        slow.communicate(timeout=30)
    assert not idle.is_locked()
    terraform.run("plan", "-input=false")


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


def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str = "amd64") -> Path:
    """A docker that writes down what it is asked for, and where that was no push, it worked."""
    program, asked = tmp_path / "bin" / "docker", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\ncase $1 in\nimage) echo {architecture};;\npush) exit 9;;\nesac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return asked


def test_the_image_of_a_commit_is_built_once(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=small, text=True).strip()

    assert deployment(small, idle.cloud, "image", "staging").returncode == 9
    assert f"--platform linux/amd64 --load --provenance false --tag {REPOSITORY}:{commit} ." in asked.read_text()
    digest = idle.cloud.push_image(PROJECT, "0001", tag=commit)
    for environment in ("staging", "production"):
        found = deployment(small, idle.cloud, "image", environment)
        assert (found.returncode, found.stdout) == (0, f"{digest}\n"), found.stderr
        assert f"the image of {commit} is there already" in found.stderr

    (small / "change").touch()
    refused = deployment(small, idle.cloud, "image", "staging")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "commit first" in refused.stderr


def test_the_image_that_was_tested_is_the_one_that_is_pushed(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch)
    (small / "image.tar").touch()  # what was downloaded
    assert deployment(small, idle.cloud, "image", "staging", "--loaded", "service:ci").returncode == 9
    lines = asked.read_text().splitlines()
    assert lines[0].startswith(f"tag service:ci {REPOSITORY}:")
    assert not [line for line in lines if line.startswith("buildx")]
    assert lines[-1].startswith(f"push --quiet {REPOSITORY}:")


def test_an_image_that_could_not_trust_its_database_is_not_made(idle: Site, small: Path) -> None:
    for region, known in (("il-central-1", False), (REGION, True)):
        tfvars = small / "infra" / "staging.tfvars"
        tfvars.write_text(re.sub(r'(aws_region +=) ".*"', rf'\1 "{region}"', tfvars.read_text()))
        subprocess.run(
            ["git", *AUTHOR, "commit", "--quiet", "--all", "--allow-empty", "-m", region], cwd=small, check=True
        )
        refused = deployment(small, idle.cloud, "image", "staging").stderr
        assert (f"infra/rds-ca.pem has no root for {region}: curl -o infra/rds-ca.pem https://" in refused) is not known


def test_an_image_for_other_machines_is_not_pushed(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = docker(tmp_path, monkeypatch, "arm64")
    refused = deployment(small, idle.cloud, "image", "staging", "--loaded", "service:ci")
    assert refused.returncode == 1
    assert "the image is for arm64, and staging runs on amd64" in refused.stderr
    assert "push" not in asked.read_text()


@pytest.mark.needs("terraform")
def test_any_command_of_terraform_runs_on_the_right_state(idle: Site, small: Path) -> None:
    def terraform(*arguments: str) -> str:
        result = deployment(small, idle.cloud, "terraform", *arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    terraform("staging", "apply", "-auto-approve")
    terraform("bootstrap", "apply", "-auto-approve")
    assert terraform("staging", "output", "-raw", "dashboard") == "of staging"
    assert terraform("bootstrap", "output", "-raw", "bucket") == "of all"
    assert deployment(small, idle.cloud, "terraform", "staging", "output", "nothing").returncode == 1


@pytest.mark.needs("terraform")
def test_what_was_approved_is_what_is_applied(idle: Site, small: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return deployment(small, idle.cloud, *arguments)

    kept = run("plan", "staging", "--keep", "17")
    assert kept.returncode == 0, kept.stderr
    (small / "infra" / "staging.tfplan").unlink()  # another job applies it
    applied = run("apply", "staging", "--kept", "17")
    assert applied.returncode == 0, applied.stderr
    assert run("terraform", "staging", "output", "-raw", "dashboard").stdout == "of staging"

    stale = run("apply", "staging", "--kept", "17")
    assert stale.returncode == 1
    assert "staging has changed since the plan was made, so nothing was done: plan again" in stale.stderr
    missing = run("apply", "staging", "--kept", "18")
    assert missing.returncode == 1
    assert "there is no plan 18 of staging" in missing.stderr
    assert missing.stderr.splitlines()[-1].count("error") == 1


def test_a_state_that_could_not_be_written_says_where_it_is(
    idle: Site, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform = tmp_path / "bin" / "terraform"
    terraform.parent.mkdir()
    terraform.write_text(
        f'#!/bin/sh\ncase "$*" in *apply*) touch {small}/infra/errored.tfstate; echo Failed >&2; exit 1;; esac\n'
    )
    terraform.chmod(0o755)
    monkeypatch.setenv("PATH", f"{terraform.parent}:{os.environ['PATH']}")
    refused = deployment(small, idle.cloud, "apply", "staging")
    assert refused.returncode == 1
    assert "Failed\n" in refused.stderr
    assert 'make terraform ENV=staging ARGS="state push errored.tfstate"' in refused.stderr


def bootstrap(
    small: Path, cloud: Cloud, programs: Path, *arguments: str, gh: str | None
) -> subprocess.CompletedProcess[str]:
    """`make bootstrap` on a machine where GitHub's program answers this, or is not there."""
    programs.mkdir(exist_ok=True)
    for name in ("terraform", "git"):
        if not (programs / name).exists():
            (programs / name).symlink_to(str(shutil.which(name)))
    if gh is not None:
        (programs / "gh").write_text(f"#!/bin/sh\nprintf '%s' '{gh}'\n")
        (programs / "gh").chmod(0o755)
    environment = {**cloud.environment, "PATH": str(programs) + ":/bin", "TF_CLI_ARGS_apply": "-auto-approve"}
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy", "bootstrap", *arguments],
        cwd=small,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.needs("terraform")
def test_bootstrap_asks_github_for_the_ids_once(idle: Site, small: Path, tmp_path: Path) -> None:
    answers = small / "infra" / "bootstrap" / "terraform.tfvars"
    programs = tmp_path / "programs"
    refused = bootstrap(small, idle.cloud, programs, gh="")
    assert refused.returncode == 1
    assert f"the ids of example/{PROJECT} are missing" in refused.stderr
    assert f"gh api repos/example/{PROJECT} --jq" in refused.stderr

    ids = "github_owner_id      = 12\ngithub_repository_id = 34\n"
    first_time = bootstrap(small, idle.cloud, programs, "staging", gh=ids)
    assert first_time.returncode == 0, first_time.stderr
    assert answers.read_text().endswith(ids)
    backend = small / "infra" / "bootstrap" / "backend.tf"
    assert 'backend "local"' in backend.read_text()

    # What the real configuration would have made.
    location = {"LocationConstraint": REGION}
    bucket = f"{PROJECT}-bootstrap-tfstate-{ACCOUNT}"
    idle.cloud.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
    again = bootstrap(small, idle.cloud, programs, "staging", gh="")
    assert again.returncode == 0, again.stderr
    assert 'backend "s3"' in backend.read_text()
    assert idle.cloud.client("s3").list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "bootstrap.tfstate"


@pytest.mark.needs("terraform")
def test_a_lock_whose_holder_has_died_is_taken_away(idle: Site, small: Path) -> None:
    note = {"ID": "f00", "Operation": "Deployment", "Who": "ann@laptop", "Created": "2026-11-22T10:00:00Z"}
    idle.cloud.client("s3").put_object(Bucket=STATE, Key=LOCK, Body=json.dumps(note))
    assert deployment(small, idle.cloud, "terraform", "staging", "apply", "-auto-approve").returncode == 1
    unlocked = deployment(small, idle.cloud, "terraform", "staging", "force-unlock", "-force", "f00")
    assert unlocked.returncode == 0, unlocked.stderr
    assert not idle.is_locked()


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


def test_an_environment_that_is_missing_is_said_in_one_line(cloud: Cloud, project: Path) -> None:
    cloud.reset()
    cloud.stand_in_for_bootstrap(PROJECT)
    digest = cloud.push_image(PROJECT, "0001")
    refused = deployment(project, cloud, "deploy", "production", "--image", digest)
    assert refused.returncode == 1
    assert refused.stderr == "deploy: error: production does not exist yet: make plan apply ENV=production\n"
