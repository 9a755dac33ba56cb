"""Traces and error reports are switched on by standard variables alone: without them nothing of either is there."""

import json
from typing import Any

import psycopg
import pytest

from service.engine.storage.channels import TABLES, short
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.running import Service
from tests.engine.observability.receivers import Receiver
from tests.engine.rooms import enter

OUTLETS = ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "requests", "sentry_sdk")
"""FastAPI imports OpenTelemetry's interface by itself, which does nothing without the SDK."""
UNSET = {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "SENTRY_DSN": "", "OTEL_SERVICE_NAME": "nobody"}


def imported(service: Service) -> set[str]:
    """Which of the outlets' modules the serving process has."""
    modules = service.get("/api/modules").json()
    return {outlet for outlet in OUTLETS for module in modules if f"{module}.".startswith(f"{outlet}.")}


def payloads_of(service: Service, room: int) -> Any:
    """A connection that hears what is published of a room."""
    connection = psycopg.connect(service.database.url, autocommit=True)
    (tables,) = connection.execute(f"SELECT {TABLES}".encode()).fetchone() or ("",)
    connection.execute(f'LISTEN "{short(f"rooms/{room}")}@{tables}"'.encode())
    return connection


@pytest.mark.parametrize("unset", [{}, UNSET])
async def test_unset_nothing_is_imported_and_no_byte_more_is_published(
    shared_service: StartService, connect: Connect, room: int, unset: dict[str, Any]
) -> None:
    service = shared_service(**unset)
    with payloads_of(service, room) as connection:
        await enter(await connect(service, f"/ws/rooms/{room}", user=1), "hello")
        (notified,) = connection.notifies(timeout=5, stop_after=1)
    assert set(json.loads(notified.payload)) == {"seq", "row"}
    assert imported(service) == set()


async def test_each_is_imported_only_where_it_is_switched_on(shared_service: StartService, receiver: Receiver) -> None:
    assert imported(shared_service(SENTRY_DSN=receiver.dsn)) == {"sentry_sdk"}
    traced = shared_service(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{receiver.url}/v1/traces")
    assert imported(traced) == set(OUTLETS) - {"sentry_sdk"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("SENTRY_DSN", "https://sentry.example.com/1"),
        ("SENTRY_DSN", "nonsense"),
    ],
)
def test_a_variable_that_cannot_work_stops_the_start_by_its_name(name: str, value: str, commands: Commands) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", name: value}
    asked = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET_KEY, "DATABASE_URL": "postgresql://localhost/none"}
    ended = commands.run_here("serve", **asked, **settings)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    assert f"{name}: " in ended.stderr
