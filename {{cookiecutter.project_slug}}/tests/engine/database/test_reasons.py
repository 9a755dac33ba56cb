"""What cannot be reached is said with the reason: at once, then now and then, and without a secret."""

from typing import Any

import psycopg
import pytest
import valkey as valkey_client
from structlog.testing import capture_logs

from service.engine.foundation.reporting import Trouble
from tests.engine.database.reasons import reason
from tests.engine.kit.client import refused
from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.postgres import Database
from tests.engine.kit.running import HOST, Service, free_port
from tests.engine.rooms import enter

SECRET = "Tr0ub4dor"


NOWHERE = {
    "an unknown host": (f"postgresql://app:{SECRET}@unknown.invalid/d", "unknown.invalid"),
    "a port where nobody listens": (f"postgresql://app:{SECRET}@{HOST}:1/d", "refused"),
    "no such directory": (f"postgresql://app:{SECRET}@%2Fnowhere/d", "No such file"),
    "none of several": (f"postgresql://app:{SECRET}@{HOST}:1,{HOST}:2/d", "refused"),
}


@pytest.mark.parametrize(("url", "why"), NOWHERE.values(), ids=NOWHERE)
async def test_a_database_that_nobody_has_ever_reached(url: str, why: str) -> None:
    service = Service(Database(url, "nowhere", "tests.engine.application"), ready=False)
    try:
        for event in ("broker_unavailable", "database_unavailable"):
            assert why in await reason(service, event)
        assert SECRET not in service.log()
    finally:
        service.stop()


async def test_a_valkey_and_an_identity_provider_that_nobody_has_ever_reached(database: Database) -> None:
    settings = {"VALKEY_URL": f"redis://app:{SECRET}@{HOST}:{free_port()}", "JWKS_URL": f"https://{HOST}:1/keys"}
    service = Service(database, settings, ready=False)
    try:
        assert "refused" in await reason(service, "broker_unavailable")
        foreign = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"}
        assert (await refused(service.ws, "/ws/letters", headers=foreign)).status == 503
        assert "refused" in await reason(service, "jwks_unavailable")
        assert SECRET not in service.log()
    finally:
        service.stop()


def user_of(valkey: str, name: str, **rights: Any) -> str:
    """The address for somebody with few rights."""
    with valkey_client.Valkey.from_url(valkey) as administrator:
        administrator.acl_setuser(name, enabled=True, passwords=[f"+{SECRET}"], **rights)
    return valkey.replace("://", f"://{name}:{SECRET}@")


async def test_a_valkey_that_does_not_know_us(database: Database, valkey: str) -> None:
    service = Service(database, {"VALKEY_URL": valkey.replace("://", f"://nobody:{SECRET}@")}, ready=False)
    try:
        assert "invalid username-password pair" in await reason(service, "broker_unavailable")
        assert SECRET not in service.log()
    finally:
        service.stop()


async def test_no_right_to_subscribe(database: Database, valkey: str) -> None:
    url = user_of(valkey, "deaf", commands=["+@all"], reset_channels=True)
    service = Service(database, {"VALKEY_URL": url}, ready=False)
    try:
        assert "permission" in (await reason(service, "broker_unavailable")).lower()
        assert SECRET not in service.log()
    finally:
        service.stop()


async def test_no_right_to_publish(database: Database, valkey: str, connect: Connect, room: int) -> None:
    url = user_of(valkey, "mute", commands=["+@all", "-publish"], channels=["*"])
    service = Service(database, {"VALKEY_URL": url})
    try:
        writer, reader = [await connect(service, f"/ws/rooms/{room}", user=user) for user in (1, 2)]
        assert (await enter(writer, "x"))["seq"] == 1
        assert "permission" in (await reason(service, "publish_failed")).lower()
        assert (await reader.receive())["seq"] == 1, "it is read from the table"
    finally:
        service.stop()


class Clock:
    """A time that tests make pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("service.engine.foundation.reporting.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_reason_is_said_at_once_and_then_now_and_then(clock: Clock) -> None:
    trouble = Trouble("away")
    with capture_logs() as said:
        for _ in range(100):
            trouble.failed(OSError("no\n  route"))
            clock.now += 1
    assert [line["failures"] for line in said] == [1, 31, 61, 91]
    assert {line["why"] for line in said} == {"no route"}


def test_another_reason_is_said_at_once_too_but_no_flood_of_them(clock: Clock) -> None:
    trouble = Trouble("away")
    with capture_logs() as said:
        for number in range(10):
            trouble.failed(OSError(f"port {number} is closed"))
            trouble.failed(OSError("no route"))
            trouble.failed(OSError("x" * number))
    assert len(said) == 5
    assert [line["why"] for line in said[:2]] == ["port 0 is closed", "no route"]


def test_an_outage_after_another_is_said_at_once_and_what_comes_and_goes_is_not_each_time(clock: Clock) -> None:
    trouble = Trouble("away")
    with capture_logs() as said:
        for seconds in (10, 0.1, 0.1, 0.1):
            trouble.failed(OSError("no route"))
            trouble.over()
            clock.now += seconds
        trouble.failed(OSError("no route"))
    assert len(said) == 2


def test_no_reason_holds_a_password() -> None:
    """What libpq says repeats the names that it was given, and no password."""
    with pytest.raises(psycopg.OperationalError) as away:
        psycopg.connect(f"postgresql://app:{SECRET}@{HOST}:1/d")
    assert SECRET not in str(away.value)
