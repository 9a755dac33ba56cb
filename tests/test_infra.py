"""Terraform, as far as no account is needed: format, validity, rules, choices, and names that others use."""

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests import exposure
from tests.bakery import ROOT, bake
from tests.cloud import Terraform, simulated_cloud
from tests.exposure import Resources, by_type

PROJECT_DIRECTORY = "{{cookiecutter.project_slug}}"
needs_terraform = pytest.mark.needs("terraform")


def blocks(directory: Path, kind: str) -> dict[str, str]:
    """The blocks of a kind in a directory's files, by name."""
    text = "\n".join(path.read_text() for path in sorted(directory.glob("*.tf")))
    return dict(re.findall(rf'^{kind} "(\w+)" \{{\n(.*?)^\}}', text, re.MULTILINE | re.DOTALL))


@pytest.fixture(params=[".", "bootstrap"], ids=["infra", "bootstrap"])
def room(request: pytest.FixtureRequest, project: Path) -> Path:
    return project / "infra" / str(request.param)


def test_nothing_insecure_is_accepted_without_a_reason(project: Path) -> None:
    skips = re.findall(r"checkov:skip=\w+(:.*)?", "".join(path.read_text() for path in project.rglob("*.tf")))
    assert skips
    assert all(len(reason) > 10 for reason in skips)


def test_every_variable_is_described_typed_and_checked(room: Path) -> None:
    variables = blocks(room, "variable")
    assert variables
    for name, body in variables.items():
        assert re.search(r'description += "[A-Z].{15,}"', body), name
        assert re.search(r"^ +type +=", body, re.MULTILINE), name
        assert "validation {" in body or re.search(r"type += bool", body), f"{name} takes anything"
        assert "nullable" in body, name


def test_every_output_is_described(room: Path) -> None:
    for name, body in blocks(room, "output").items():
        assert re.search(r'description += "[A-Z].+"', body), name


def test_answers_come_in_through_tfvars_alone(template: Path) -> None:
    for path in template.rglob("*.tf"):
        assert "cookiecutter" not in path.read_text()
        assert "live-service" not in path.read_text()


@pytest.mark.parametrize("domain", ["", "live.example.com"])
def test_tfvars_set_variables_that_exist(template: Path, tmp_path: Path, domain: str) -> None:
    infra = bake(template, tmp_path, domain_name=domain) / "infra"
    for file, room in (
        ("staging.tfvars", "."),
        ("production.tfvars", "."),
        ("bootstrap/terraform.tfvars", "bootstrap"),
    ):
        names = set(re.findall(r"^(\w+) +=", (infra / file).read_text(), re.MULTILINE))
        assert names <= blocks(infra / room, "variable").keys()
    assert f'domain_name      = "{domain and "staging." + domain}"' in (infra / "staging.tfvars").read_text()


@pytest.mark.parametrize("pages", [True, False])
def test_the_load_balancer_lets_through_what_clients_need_and_no_more(project: Path, pages: bool) -> None:
    script = (
        "from service.app import application\n"
        "from service.engine.documents import pages\n"
        "from service.engine.endpoints import health\n"
        f"shown = [pages.demo_page(application.page, list)] if {pages} else []\n"
        f"endpoints = application.routers(demo_endpoints={pages})\n"
        "for router in [health.router, *endpoints, pages.documents({}), *shown]:\n"
        "    print(*(route.path for route in router.routes), sep='\\n')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True)
    routes = {"/openapi.json", *result.stdout.split()}
    declared = (project / "infra" / "load_balancer.tf").read_text()
    lists = {
        name: set(re.findall(r'"([^"]+)"', paths)) for name, paths in re.findall(r"(\w+_paths) += (\[.*\])", declared)
    }
    patterns = lists["public_paths"] | (lists["page_paths"] if pages else set())
    let_through = {route for route in routes if any(fnmatchcase(route, pattern) for pattern in patterns)}
    assert {"/healthz", "/readyz", "/metrics", "/style.css", "/ws/ping", "/api/tickets"} <= routes
    assert ("/" in routes) is pages
    kept_inside = {"/readyz", "/metrics"}
    needed = ("/ws/", "/api/", "/healthz", "/client")
    documents = {route for route in routes if not route.startswith(needed)} - kept_inside
    assert let_through == routes - kept_inside - (set() if pages else documents)


def test_only_one_provider_is_used_and_locked(room: Path) -> None:
    lock = (room / ".terraform.lock.hcl").read_text()
    assert re.findall(r'^provider "(.*)"', lock, re.MULTILINE) == ["registry.terraform.io/hashicorp/aws"]
    assert re.search(r'"h1:[\w+/]{43}="', lock)
    assert len(re.findall(r'"zh:[0-9a-f]{64}"', lock)) == 15
    assert "module " not in "".join(path.read_text() for path in room.glob("*.tf"))


def test_the_service_reports_what_alarms_and_scaling_look_at(project: Path) -> None:
    code = (project / "service" / "engine" / "observability" / "cloudwatch.py").read_text()
    names = dict(re.findall(r'^(\w+) = "(\w+)"', code, re.MULTILINE))
    metrics = (project / "infra" / "metrics.tf").read_text()
    spoken = dict(re.findall(r'(\w+) += "(\w+)"', metrics))
    assert f'"Name": "{spoken.pop("blind")}"' in (project / "infra" / "watcher.py").read_text()
    assert spoken == {
        "namespace": names["NAMESPACE"],
        "connections": names["CONNECTIONS"],
        "lag": names["LAG"],
        "refusals": names["REFUSALS"],
    }
    dimensions = re.search(r"dimensions += \{ (\w+) = var.project, (\w+) = var.environment \}", metrics)
    assert dimensions is not None
    assert f'DIMENSIONS = ("{dimensions[1]}", "{dimensions[2]}")' in code
    staging = (project / "infra" / "staging.tfvars").read_text()
    project_name = re.search(r'^name = "(.*)"', (project / "pyproject.toml").read_text(), re.MULTILINE)
    assert project_name is not None
    assert f'project     = "{project_name[1]}"' in staging


def test_every_metric_line_is_in_the_embedded_metric_format(project: Path) -> None:
    """A log line as CloudWatch reads it: JSON whose root holds every dimension and metric that it announces."""
    script = (
        "from service.engine.observability.logs import configure_logging\n"
        "from service.engine.foundation.metrics import Metrics\n"
        "from service.engine.observability.cloudwatch import CloudWatch\n"
        "from service.engine.foundation.settings import Settings\n"
        "settings = Settings(environment='staging', database_url='postgresql://x', secret_key='k' * 32)\n"
        "configure_logging(settings)\n"
        "metrics = Metrics()\n"
        "cloudwatch = CloudWatch(settings, metrics)\n"
        "cloudwatch.observe(0.0, 0.25, 3)\n"
        "metrics.refusals.labels('at_capacity').inc(2)\n"
        "metrics.refusals.labels('invalid_token').inc(5)\n"
        "metrics.closes.labels('1012').inc(7)\n"
        "metrics.messages_sent = 9\n"
        "metrics.flush()\n"
        "cloudwatch.observe(60.0, 0.01, 4)\n"
        "cloudwatch.observe(120.0, 0.02, 1)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=True)
    first, second = map(json.loads, result.stderr.splitlines())
    (directive,) = first["_aws"]["CloudWatchMetrics"]
    assert first["_aws"]["Timestamp"] > 1_600_000_000_000
    assert directive["Dimensions"] == [["Service", "Environment"]]
    assert (first["Service"], first["Environment"]) == ("live-service", "staging")
    names = [metric["Name"] for metric in directive["Metrics"]]
    assert len(names) == len(set(names)) < 100  # the format's limit
    assert re.search(rf"\| {len(names)} . 0\.30, ", (project / "docs" / "deploy.md").read_text())  # what they cost
    happened = {"CapacityRefusals": 2, "Refusals": 7, "Closes": 7, "Closes1012": 7, "MessagesSent": 9}
    nothing = dict.fromkeys(names, 0)
    assert {name: first[name] for name in names} == {**nothing, "OpenConnections": 4, "EventLoopLag": 0.25, **happened}
    assert {name: second[name] for name in names} == {**nothing, "OpenConnections": 1, "EventLoopLag": 0.02}


def test_every_alarm_has_its_page_in_the_runbook(project: Path) -> None:
    alarms = (project / "infra" / "alarms.tf").read_text()
    names = re.findall(r"^ +([a-z0-9-]+) = \{\n +says", alarms, re.MULTILINE)
    headings = re.findall(r"^#+ ([a-z0-9-]+)$", (project / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert len(names) == 13
    assert sorted(names) == sorted(headings)


def test_the_container_gets_settings_that_the_service_knows(project: Path) -> None:
    task = (project / "infra" / "task.tf").read_text()
    names = set(re.findall(r"^ +([A-Z][A-Z_]+) +=", task, re.MULTILINE)) | {"VALKEY_URL", "SECRET_KEY"}
    known = set(re.findall(r"^# ([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE))
    assert names - known == {"TMPDIR", "AWS_ENDPOINT_URL", "METRICS"}  # the last two are the watcher's


# The space of timing.tf. Each rule is said a second time here, by hand.
SPACE: dict[str, list[float]] = {
    "heartbeat_interval": [0, 1, 30, 55, 300],
    "heartbeat_timeout": [0, 1, 10, 60],
    "idle_timeout": [0, 1, 40, 41, 60, 66, 120, 361, 4000, 4001],
    "drain_seconds": [0, 1, 20, 39, 40, 54, 55, 114, 115],
    "stop_timeout": [1, 2, 26, 60, 61, 119, 120, 121],
    "deregistration_delay": [0, 40, 41, 74, 75, 120, 135, 3600, 3601],
    "min_tasks": [0, 1, 2, 4],
    "max_tasks": [1, 2, 4, 7, 40],
    "processes": [0, 1, 2, 4],
    "task_cpu": [256, 1024, 2048, 4096],
    "database_pool_size": [0, 1, 5, 20],
    "database_max_connections": [19, 20, 66, 107, 108, 400, 5000, 5001],
    "max_connections": [0, 1, 1000, 10000, 64536, 64537],
    "open_files": [1023, 1024, 2000, 65536, 1048576],
    "connections_per_task": [0, 1, 800, 801, 8000, 8001],
    "cpu_percent": [9, 10, 90, 91],
}
GOOD: dict[str, float] = {
    "heartbeat_interval": 30,
    "heartbeat_timeout": 10,
    "idle_timeout": 120,
    "drain_seconds": 20,
    "stop_timeout": 60,
    "deregistration_delay": 60,
    "min_tasks": 1,
    "max_tasks": 4,
    "processes": 1,
    "task_cpu": 512,
    "database_pool_size": 5,
    "database_max_connections": 100,
    "max_connections": 10000,
    "open_files": 65536,
    "connections_per_task": 4000,
    "cpu_percent": 60,
}


def fits(case: dict[str, float]) -> bool:
    return all(
        [
            case["heartbeat_interval"] >= 1,
            case["heartbeat_timeout"] > 0,
            1 <= case["idle_timeout"] <= 4000,
            case["idle_timeout"] > case["heartbeat_interval"] + case["heartbeat_timeout"],
            case["drain_seconds"] >= 1,
            case["drain_seconds"] + 5 < case["stop_timeout"] <= 120,
            case["drain_seconds"] + 20 < case["deregistration_delay"] <= 3600,
            1 <= case["min_tasks"] <= case["max_tasks"],
            1 <= case["processes"] <= -(-case["task_cpu"] // 1024),
            case["database_pool_size"] >= 1,
            20 <= case["database_max_connections"] <= 5000,
            2 * case["max_tasks"] * case["processes"] * (case["database_pool_size"] + 2) + 10
            <= case["database_max_connections"],
            case["max_connections"] >= 1,
            1024 <= case["open_files"] <= 1048576,
            case["max_connections"] + 1000 <= case["open_files"],
            1 <= case["connections_per_task"] <= 0.8 * case["max_connections"] * case["processes"],
            10 <= case["cpu_percent"] <= 90,
        ]
    )


def cases() -> list[dict[str, float]]:
    """A working combination with one or two values changed: every one alone, and pairs by chance."""
    chance = random.Random(20261122)
    single = [{**GOOD, name: value} for name, values in SPACE.items() for value in values]
    pairs = [
        {**GOOD, first: chance.choice(SPACE[first]), second: chance.choice(SPACE[second])}
        for first, second in itertools.combinations(SPACE, 2)
        for _ in range(2)
    ]
    return [GOOD, *single, *pairs]


def refusals(terraform: Terraform, numbered: list[tuple[int, dict[str, float]]]) -> set[int]:
    """Which of the cases a plan refuses."""
    blocks = [
        [
            f'module "case_{number}" {{',
            'source = "../timing"',
            'environment = "staging"',
            *(f"{name} = {value}" for name, value in case.items()),
            "}",
        ]
        for number, case in numbered
    ]
    (terraform.directory / "main.tf").write_text("\n".join(line for block in blocks for line in block))
    terraform.run("init", "-input=false")
    found = set()
    for line in map(json.loads, terraform.attempt("plan", "-input=false", "-json").stdout.splitlines()):
        if "diagnostic" in line:
            assert len(line["diagnostic"]["detail"]) > 40
            found.add(numbered[(line["diagnostic"]["range"]["start"]["line"] - 1) // len(blocks[0])][0])
    return found


@needs_terraform
def test_every_wrong_combination_of_times_and_sizes_fails_at_plan(project: Path, tmp_path: Path) -> None:
    """timing.tf alone, many times in one plan: what Terraform refuses is what does not fit, and nothing else."""
    module, root = tmp_path / "timing", tmp_path / "root"
    module.mkdir()
    root.mkdir()
    shutil.copy(project / "infra" / "timing.tf", module)
    (module / "rest.tf").write_text('variable "environment" {}\nvariable "task_cpu" {}\n')
    everything = cases()
    terraform = Terraform(root, {"PATH": os.environ["PATH"]})
    refused: set[int] = set()
    # What one variable says about itself stops Terraform before it looks at what several say together.
    while newly := refusals(terraform, [(n, case) for n, case in enumerate(everything) if n not in refused]):
        refused |= newly
    wrong = {number for number, case in enumerate(everything) if not fits(case)}
    assert 100 < len(wrong) < len(everything) - 50
    assert refused == wrong


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


def test_slugs_are_the_same_for_the_template_and_for_terraform() -> None:
    """Any slug that the template accepts, and none that AWS refuses: a thousand by chance."""
    hook = (ROOT / "hooks" / "pre_gen_project.py").read_text()
    asked = re.search(r'"project_slug": \(\n +r"(.*)"', hook)
    files = [ROOT / PROJECT_DIRECTORY / "infra" / place for place in ("variables.tf", "bootstrap/variables.tf")]
    assert asked is not None
    form = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
    kept = r"^(internal-|aws|ssm|sg-|amzn-)"
    for file in files:
        assert f'regex("{form}", var.project)' in file.read_text()
        assert f'regex("{kept}", var.project)' in file.read_text()
    chance = random.Random(20261126)
    starts = ["internal-", "aws", "ssm", "sg-", "amzn-", "a", "sg", "internal", "-", "1"]
    slugs = [
        chance.choice([*starts, ""]) + "".join(chance.choice("ab1-") for _ in range(chance.randint(0, 20)))
        for _ in range(1000)
    ]
    accepted = {slug for slug in slugs if re.fullmatch(asked[1], slug)}
    assert accepted == {
        slug for slug in slugs if re.search(form, slug) and 3 <= len(slug) <= 20 and not re.search(kept, slug)
    }
    assert 100 < len(accepted) < 900


@pytest.mark.parametrize(
    ("region", "good"),
    [("eu-central-1", True), ("us-gov-west-1", True), ("eusc-de-east-1", True), ("cn-north-1", True), ("moon", False)],
)
def test_regions_of_every_partition_are_known(region: str, good: bool) -> None:
    hook = (ROOT / "hooks" / "pre_gen_project.py").read_text()
    asked = re.search(r'"aws_region": \(r"(.*?)"', hook)
    assert asked is not None
    assert bool(re.fullmatch(asked[1], region)) is good
    for place in ("variables.tf", "bootstrap/variables.tf"):
        declared = re.search(r'regex\("(.*)", var.aws_region', (ROOT / PROJECT_DIRECTORY / "infra" / place).read_text())
        assert declared is not None
        assert bool(re.search(declared[1], region)) is good


def test_no_partition_is_taken_for_granted(project: Path) -> None:
    text = "".join(path.read_text() for path in (project / "infra").rglob("*.tf"))
    assert "arn:aws" not in text
    assert not re.findall(r"\$\{var.aws_region\}\.amazonaws", text)


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
