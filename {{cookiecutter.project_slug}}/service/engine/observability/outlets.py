"""Which outlets standard variables switch on: traces and error reports. Nothing is imported of one that is off."""

# ruff: noqa: PLC0415

import asyncio
import os
import re
import threading
from collections.abc import Sequence
from time import monotonic
from typing import Protocol

from service.engine.foundation.addresses import is_web_address
from service.engine.foundation.operations import Around
from service.engine.foundation.project import Project
from service.engine.foundation.settings import Settings, SettingsError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"
_DSN = re.compile(r"https?://[^@/\s]+@[^@/\s]+/(\S+/)?\d+", re.ASCII)
_LAST_SECONDS = 1.5
"""How long the end of a process waits for receivers that are slow."""
_TICK = 0.02


class Outlet(Protocol):
    """What observes operations and tells somebody outside."""

    @property
    def around(self) -> Around: ...

    def close(self) -> None:
        """Send what is left; blocks."""


def check_variables() -> None:
    """Raise SettingsError if one of them cannot work."""
    _ = _traces(), _reports()


def switched_on(settings: Settings, project: Project) -> Sequence[Outlet]:
    """Those that the environment asks for, made in the process that they are of; raises SettingsError."""
    outlets: list[Outlet] = []
    if _traces():
        from service.engine.observability.tracing import Tracing

        outlets.append(Tracing(project))
    if _reports():
        from service.engine.observability.error_reports import ErrorReports

        environment = _variable("SENTRY_ENVIRONMENT") or settings.environment
        release = _variable("SENTRY_RELEASE") or f"{project.name}@{project.version}"
        outlets.append(ErrorReports(environment, release))
    return outlets


async def close(outlets: Sequence[Outlet]) -> None:
    """Let them send what is left, within bounds: in threads that the end of the process ends."""
    threads = [threading.Thread(target=outlet.close, daemon=True) for outlet in outlets]
    for thread in threads:
        thread.start()
    deadline = monotonic() + _LAST_SECONDS
    while any(thread.is_alive() for thread in threads) and monotonic() < deadline:  # noqa: ASYNC110 - they are no tasks
        await asyncio.sleep(_TICK)


def _traces() -> bool:
    if _variable("OTEL_SDK_DISABLED").lower() == "true" or _variable("OTEL_TRACES_EXPORTER").lower() == "none":
        return False
    endpoint = next(filter(_variable, _ENDPOINTS), None)
    if endpoint is None:
        return False
    if not is_web_address(_variable(endpoint), "http", "https"):
        raise SettingsError(f"{endpoint}: must be an address that begins with http:// or https://")
    protocol = next(filter(_variable, _PROTOCOLS), None)
    if protocol is not None and _variable(protocol) != _PROTOCOL:
        raise SettingsError(f"{protocol}: traces are sent by {_PROTOCOL} alone")
    return True


def _reports() -> bool:
    dsn = _variable("SENTRY_DSN")
    if dsn and not _DSN.fullmatch(dsn):
        raise SettingsError("SENTRY_DSN: must be of the form https://<key>@<host>/<project>")
    return bool(dsn)


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()
