"""Terraform's files, as far as nothing has to run: rules, choices, and names that others use."""

import json
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.bakery import bake


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
        "metrics.closes['1012'] += 7\n"
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
    task = "".join((project / "infra" / name).read_text() for name in ("task.tf", "migration.tf"))
    names = set(re.findall(r"^ +([A-Z][A-Z_]+) +=", task, re.MULTILINE)) | {"VALKEY_URL", "SECRET_KEY"}
    known = set(re.findall(r"^# ([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE))
    assert names - known == {"PGPASSWORD", "TMPDIR", "AWS_ENDPOINT_URL", "METRICS"}  # the last two are the watcher's
