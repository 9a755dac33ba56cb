"""A deployment: that it works, and what it does when something does not."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.cloud import Cloud
from tests.making import free_port, wait_for
from tests.site import NAME, Site, make_site
from tests.test_cloud import PROJECT, deployment

KEY = "0123456789abcdef" * 4


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
    patience = ["--patience", "3" if digest == "dead" else "60"]
    refused = idle.deploy(idle.cloud.push_image(PROJECT, digest), *patience, "--without-smoke-test")
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


def test_an_image_that_serves_a_client_is_deployed(cloud: Cloud, project: Path, place: Path) -> None:
    port, log = free_port(), place / "service.log"
    settings = {"HOST": "127.0.0.1", "PORT": str(port), "SECRET_KEY": KEY, "DRAIN_SECONDS": "1"}
    site = make_site(cloud, project, f"http://127.0.0.1:{port}")
    cloud.client("secretsmanager").put_secret_value(SecretId=site.secret, SecretString=KEY)
    digest = cloud.push_image(PROJECT, "0001")
    with running_service(project, place, log, settings):
        deployed = site.deploy(digest)
    assert deployed.returncode == 0, deployed.stderr
    assert f"http://127.0.0.1:{port} serves" in deployed.stderr
    assert site.running_image() == digest
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


def test_an_environment_that_is_missing_is_said_in_one_line(cloud: Cloud, project: Path) -> None:
    cloud.reset()
    cloud.stand_in_for_bootstrap(PROJECT)
    digest = cloud.push_image(PROJECT, "0001")
    refused = deployment(project, cloud, "deploy", "production", "--image", digest)
    assert refused.returncode == 1
    assert refused.stderr == "deploy: error: production does not exist yet: make plan apply ENV=production\n"
