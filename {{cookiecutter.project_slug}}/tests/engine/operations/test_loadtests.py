"""The load tests find what is wrong: slowness, loss, repetition, failure; and run against nobody else's service."""

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from loadtests.engine import target
from loadtests.engine.ledger import Ledger
from tests.engine.kit.commands import PROJECT, SECRET_KEY, plain_environment
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.load import ENOUGH, load
from tests.engine.kit.postgres import Database
from tests.engine.kit.running import Service, free_port

OURS = PROJECT / "loadtests" / "engine" / "scenarios"
SCENARIOS = PROJECT / "tests" / "engine" / "application" / "scenarios"

pytestmark = pytest.mark.timeout(2 * ENOUGH)


def levels(directory: Path, text: str) -> tuple[str, str]:
    """The option that puts other levels in the place of the project's."""
    file = directory / "levels.toml"
    file.write_text(text)
    return "--levels", str(file)


async def test_the_smoke_run_measures_everything_and_keeps_its_levels(
    start_service: StartService, tmp_path: Path
) -> None:
    service = start_service(RATE_LIMIT="20")
    options = ["--host", service.http, "--users", "40", "--spawn-rate", "40", "--run-time", "12s"]
    run = await load(tmp_path, SCENARIOS / "smoke.py", *options)
    assert (run.code, run.breaches) == (0, []), run.output
    expected = {f"rooms {measure}" for measure in ("connect", "delivery", "last subscriber", "stored", "catch-up")}
    expected |= {"rooms reconnect", "echo round trip", "idle ping", "clubs delivery"}
    assert expected <= run.counts().keys()
    stored = service.database.value("select count(*) from entries")
    assert run.counts()["rooms stored"] == stored
    assert service.database.value("select count(*) from purchases where what like '%%charter'") == 21, "prepared once"
    assert (run.reports / "report.html").stat().st_size > 0
    assert (run.reports / "latency.png").read_bytes().startswith(b"\x89PNG")


async def test_a_deployment_under_load_loses_nothing(database: Database, tmp_path: Path) -> None:
    run = await load(
        tmp_path,
        SCENARIOS / "deploy.py",
        *("--serve", "tests.engine.application", "--users", "40", "--run-time", "10s"),
        *levels(tmp_path, "failures = 1\n'rooms reconnect' = { p99 = 15000 }\n"),
        ENVIRONMENT="production",
        DATABASE_URL=database.url,
        SECRET_KEY=SECRET_KEY,
        DRAIN_SECONDS="1",
    )
    assert (run.code, run.breaches) == (0, []), run.output
    assert run.counts()["rooms closed for a restart"] > 0
    assert run.counts()["rooms stored"] == database.value("select count(*) from entries")


async def test_each_level_that_is_not_kept_is_one_line_and_the_run_fails(service: Service, tmp_path: Path) -> None:
    none_at_all = "'echo round trip' = { p50 = 0, p99 = 0 }\n'echo connect' = { p50 = 60000, p99 = 0 }\n"
    options = ["--host", service.http, "--users", "8", "--run-time", "4s", "--shape", "steps"]
    run = await load(tmp_path, OURS / "echo.py", *options, *levels(tmp_path, none_at_all))
    assert run.code == 1
    assert [line.partition(":")[0] for line in run.breaches] == [
        "echo round trip p50",
        "echo round trip p99",
        "echo connect p99",
    ], run.output


@pytest.mark.parametrize("scenario", ["streams", "sse"])
async def test_many_streams_and_server_sent_events_are_measured_and_lose_nothing(
    service: Service, tmp_path: Path, scenario: str
) -> None:
    options = ["--host", service.http, "--users", "40", "--spawn-rate", "40", "--run-time", "4s"]
    run = await load(tmp_path, SCENARIOS / f"{scenario}.py", *options)
    assert (run.code, run.breaches) == (0, []), run.output
    expected = {f"{scenario} {measure}" for measure in ("connect", "delivery", "stored")}
    assert expected <= run.counts().keys()
    assert run.counts()[f"{scenario} delivery"] > 38


async def test_who_comes_and_goes_is_seen_by_the_others_in_time(service: Service, tmp_path: Path) -> None:
    options = ["--host", service.http, "--users", "40", "--spawn-rate", "10", "--run-time", "7s"]
    run = await load(tmp_path, SCENARIOS / "presence.py", *options)
    assert (run.code, run.breaches) == (0, []), run.output
    assert run.counts()["presence join"] >= 40
    assert run.counts()["presence joined"] > 100
    assert run.counts()["presence signal"] > 100


async def test_shapes_spread_the_users_over_the_time() -> None:
    program = """
from loadtests.engine.shapes import ramp, spike, steps
for shape in (ramp.Ramp, spike.Spike, steps.Steps):
    print(*(round(shape().users(part / 8, 80)) for part in range(8)))
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), env=plain_environment(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert output.decode().splitlines() == [
        "0 10 20 30 40 50 60 70",
        "8 8 8 80 80 80 8 8",
        "10 20 30 40 50 60 70 80",
    ]


async def test_the_first_writer_is_on_the_hot_room_however_users_are_spawned() -> None:
    program = """
from types import SimpleNamespace
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from tests.engine.application.scenarios.rooms import Reader, Writer
environment = Environment(parsed_options=SimpleNamespace(force=True, run_number=0), host="http://localhost")
dispatcher = UsersDispatcher([SimpleNamespace(id="one")], [Reader, Writer])
dispatcher.new_dispatch(40, 20)
before = {}
for wave in dispatcher:
    for name, count in wave["one"].items():
        for _ in range(count - before.get(name, 0)):
            print(name, {"Reader": Reader, "Writer": Writer}[name](environment).path())
    before = wave["one"]
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env=plain_environment(LOADTEST_SECRET_KEY=SECRET_KEY),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    users = [line.split() for line in output.decode().splitlines()]
    rooms = {kind: [path for name, path in users if name == kind] for kind in ("Reader", "Writer")}
    assert (len(rooms["Reader"]), len(rooms["Writer"])) == (38, 2)
    assert rooms["Writer"][0] == rooms["Reader"][0] == "/ws/rooms/0"
    assert rooms["Reader"].count("/ws/rooms/0") == 31


class FaultyServer:
    """Speaks the protocol, and commits a fault of its own on each connection to a room."""

    SEQUENCES = ([1, 2, 4], [1, 2, 2, 3, 4], [1, 3, 2, 4], [1, 2, 3, 4])

    def __init__(self) -> None:
        self._connections = itertools.count()

    async def __call__(self, connection: ServerConnection) -> None:
        number = next(self._connections)
        await self._say(connection, type="caught_up", seq=0)
        if number < len(self.SEQUENCES):
            for seq in self.SEQUENCES[number]:
                await self._say(connection, type="entry", seq=seq, body="elsewhere 0 x")
        if number == len(self.SEQUENCES):
            await connection.close(1013, "slow consumer")
        await connection.wait_closed()

    async def _say(self, connection: ServerConnection, **message: object) -> None:
        await connection.send(json.dumps(message))


def two_processes() -> list[str]:
    meeting = str(free_port())  # Locust's own is one for the whole machine
    here = ["--master-bind-host", "127.0.0.1", "--master-bind-port", meeting, "--master-port", meeting]
    return ["--processes", "2", *here]


@pytest.mark.parametrize("processes", [list, two_processes], ids=["one process", "distributed"])
async def test_what_is_lost_or_comes_twice_or_breaks_off_is_a_failure(
    tmp_path: Path, processes: Callable[[], list[str]]
) -> None:
    async with serve(FaultyServer(), "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        options = ["--host", f"http://127.0.0.1:{port}", "--users", "5", "--spawn-rate", "5", "--run-time", "2s"]
        run = await load(tmp_path, SCENARIOS / "rooms.py", *options, *processes(), *levels(tmp_path, ""), "Reader")
    assert run.code == 1, run.output
    failures = Counter({(row["Name"], row["Error"]): int(row["Occurrences"]) for row in run.rows("failures")})
    assert failures["rooms lost", "a message never came"] == 1, run.output
    assert failures["rooms doubled", "a message came doubled"] == 1
    assert failures["rooms out of order", "a message came out of order"] == 1
    assert failures["rooms connection", "1013 slow consumer"] == 1
    for fault in ("lost", "doubled", "out of order"):
        assert f"rooms {fault}: 1, and one is too many" in run.breaches


async def test_a_service_of_somebody_else_is_refused_in_one_line(tmp_path: Path) -> None:
    run = await load(tmp_path, OURS / "echo.py", "--host", "https://example.com")
    assert run.code == 1
    (line,) = run.output.splitlines()
    assert line.startswith("loadtest: example.com is not localhost")
    assert line.endswith("if you may load it, say so with --force")


async def test_without_anything_to_make_tokens_with_it_says_what_to_set(tmp_path: Path) -> None:
    settings = {"LOADTEST_SECRET_KEY": "", "JWKS_URL": "http://localhost:1/keys"}
    run = await load(tmp_path, SCENARIOS / "rooms.py", **settings)
    assert run.code == 1
    assert "loadtest: no tokens: set LOADTEST_SECRET_KEY" in run.output


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:8000", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("https://staging.example.org", True),
        ("https://example.org", False),
        ("https://staging.example.org.evil.example", False),
        ("http://localhost.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("localhost:8000", False),
        ("", False),
    ],
)
def test_only_this_machine_and_staging_may_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, allowed: bool
) -> None:
    staging = tmp_path / "staging.tfvars"
    staging.write_text('environment = "staging"\ndomain_name      = "staging.example.org"\n')
    monkeypatch.setattr(target, "_STAGING", staging)
    assert (target.objection(url) is None) is allowed


def test_what_one_wrote_oneself_may_be_answered_before_or_after_what_others_wrote() -> None:
    ledger = Ledger()
    assert ledger.pushed(1) is None
    ledger.know(3)
    assert not ledger.complete
    assert ledger.pushed(2) is None
    assert (ledger.position, ledger.complete, ledger.lost(0)) == (3, True, [])


def test_what_a_new_connection_repeats_is_not_doubled() -> None:
    ledger = Ledger()
    assert [ledger.pushed(1), ledger.pushed(3)] == [None, None]
    ledger.connected()
    assert [ledger.pushed(seq) for seq in (2, 3, 4, 4)] == [None, None, None, "doubled"]


def test_what_never_comes_is_lost_once() -> None:
    ledger = Ledger(position=10)
    ledger.expect(13)
    assert ledger.pushed(12) is None
    assert ledger.lost(patience=60) == []
    assert ledger.lost(patience=0) == [11, 13]
    assert ledger.lost(patience=0) == []


def test_every_scenario_of_ours_has_levels_and_a_paragraph() -> None:
    scenarios = {path.stem for path in OURS.glob("[!_]*.py")}
    guide = (PROJECT / "docs" / "load-tests.md").read_text()
    assert {name for name in scenarios if not (OURS / f"{name}.toml").exists()} == set()
    assert {name for name in scenarios if f"`{name}`" not in guide} == set()
