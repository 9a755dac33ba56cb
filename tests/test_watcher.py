"""The watcher next to the service: it ends when its task is leaving, and for no other reason."""

import importlib.util
import json
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

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.cloud import REGION, Cloud, simulated_cloud

ROLE = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "a/secret+key", "Token": "a+token=="}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture
def task(cloud: Cloud) -> str:
    """A task that runs on and on: in the simulator it takes looks to make time pass."""
    cloud.reset()
    cloud.let_tasks_change_every(looks=1000)
    ecs = cloud.client("ecs")
    subnet = cloud.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    ecs.create_cluster(clusterName="live")
    ecs.register_task_definition(
        family="live",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "service", "image": "service"}],
    )
    network = {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}}
    (task,) = ecs.run_task(cluster="live", taskDefinition="live", launchType="FARGATE", networkConfiguration=network)[
        "tasks"
    ]
    return str(task["taskArn"])


@dataclass
class Watch:
    """A running watcher, and how often it has looked."""

    process: subprocess.Popen[str]
    looks: list[str]

    def lines(self) -> Iterator[dict[str, str]]:
        assert self.process.stderr is not None
        return map(json.loads, self.process.stderr)

    def look(self, times: int) -> None:
        """Wait until it has looked so many times more."""
        enough, deadline = len(self.looks) + times, time.monotonic() + 20
        while len(self.looks) < enough:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@contextmanager
def addresses_in_a_task(answers: dict[str, dict[str, str]], asked: list[str]) -> Iterator[str]:
    """What ECS answers inside a task: who it is, and the credentials of its role."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path]).encode())

        def log_message(self, *_arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@contextmanager
def watching(project: Path, task: str, endpoint: str, blind_after: float = 60.0) -> Iterator[Watch]:
    """The watcher as task.tf starts it, but more hasty."""
    source = (project / "infra" / "watcher.py").read_text()
    hasty = source.replace("_EVERY_SECONDS = 10.0", "_EVERY_SECONDS = 0.2")
    hasty = hasty.replace("_LOAD_BALANCER_SECONDS = 5.0", "_LOAD_BALANCER_SECONDS = 0.5")
    hasty = hasty.replace("_BLIND_AFTER_SECONDS = 60.0", f"_BLIND_AFTER_SECONDS = {blind_after}")
    assert "_LOOK_EVERY_SECONDS = 0.2" in hasty
    looks: list[str] = []
    with addresses_in_a_task({"/v4/task": {"Cluster": "live", "TaskARN": task}, "/role": ROLE}, looks) as address:
        environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "METRICS": "WebSocketService",
            "Service": "live",
            "Environment": "staging",
            "ECS_CONTAINER_METADATA_URI_V4": f"{address}/v4",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/role",
        }
        command = [sys.executable, "-c", hasty]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield Watch(process, looks)
            finally:
                process.kill()


def test_it_ends_when_its_task_is_leaving_and_not_before(cloud: Cloud, project: Path, task: str) -> None:
    with watching(project, task, cloud.endpoint) as watch:
        watch.look(times=6)
        assert watch.process.poll() is None
        cloud.let_tasks_change_every(looks=1)
        assert [line["event"] for line in watch.lines()] == ["this task is leaving"]
        assert watch.process.wait(timeout=10) == 0


def test_it_goes_on_when_it_cannot_see_anything(project: Path, task: str) -> None:
    with watching(project, task, "http://127.0.0.1:1") as watch:
        trouble = next(watch.lines())
        assert trouble["level"] == "warning"
        assert "Connection refused" in trouble["event"]
        watch.look(times=6)
        assert watch.process.poll() is None
        watch.process.send_signal(signal.SIGTERM)
        assert list(watch.lines()) == []  # said once
        assert watch.process.wait(timeout=10) == 0


def test_it_raises_an_alarm_when_it_is_blind_for_long(project: Path, task: str) -> None:
    with watching(project, task, "http://127.0.0.1:1", blind_after=0.0) as watch:
        lines = watch.lines()
        assert next(lines)["level"] == "warning"
        blind: dict[str, Any] = next(lines)
    (directive,) = blind["_aws"]["CloudWatchMetrics"]
    metrics = (project / "infra" / "metrics.tf").read_text()
    assert f'namespace   = "{directive["Namespace"]}"' in metrics
    assert f'blind       = "{directive["Metrics"][0]["Name"]}"' in metrics
    assert {name: blind[name] for name in directive["Dimensions"][0]} == {"Service": "live", "Environment": "staging"}
    assert blind["WatcherBlind"] == 1


def test_it_signs_as_the_sdk_does(project: Path) -> None:
    specification = importlib.util.spec_from_file_location("watcher", project / "infra" / "watcher.py")
    assert specification is not None
    assert specification.loader is not None
    watcher = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(watcher)
    url, now, body = f"https://ecs.{REGION}.amazonaws.com", 1_790_000_000.0, b'{"tasks": []}'
    request = watcher.signed(url, body, REGION, ROLE, now)
    headers = {name: value for name, value in request.header_items() if name.lower() not in {"host", "authorization"}}
    same = AWSRequest("POST", f"{url}/", data=body, headers=headers)
    same.context["timestamp"] = headers["X-amz-date"]
    sdk = SigV4Auth(Credentials(*ROLE.values()), "ecs", REGION)
    signature = sdk.signature(sdk.string_to_sign(same, sdk.canonical_request(same)), same)
    assert request.get_header("Authorization").endswith(f"Signature={signature}")
