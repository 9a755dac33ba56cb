"""Metrics for CloudWatch in the log, once a minute: scaling and alarms (infra/metrics.tf) go by these names.

CloudWatch makes metrics of log lines in its embedded metric format, without an agent:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import tomllib
from pathlib import Path
from time import time

import structlog

from service.observability.metrics import Metrics
from service.settings import Settings

NAMESPACE = "WebSocketService"
CONNECTIONS = "OpenConnections"
LAG = "EventLoopLag"
REFUSALS = "CapacityRefusals"
DIMENSIONS = ("Service", "Environment")

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_EVERY_SECONDS = 60.0
_UNITS = {CONNECTIONS: "Count", LAG: "Seconds", REFUSALS: "Count"}

_logger = structlog.get_logger(__name__)


class CloudWatch:
    """What one process tells CloudWatch about itself; nothing, where logs are for people."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._enabled = settings.logs_as_json
        name = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["name"]
        self._dimensions = dict(zip(DIMENSIONS, (name, str(settings.environment)), strict=True))
        self._last_report: float | None = None
        self._worst_lag = 0.0
        self._refusals_before = 0.0

    def observe(self, now: float, lag: float, connections: int) -> None:
        """Remember the worst lag, and report once a minute. `now` is a monotonic time."""
        self._worst_lag = max(self._worst_lag, lag)
        if self._last_report is None:
            self._last_report = now
        elif self._enabled and now - self._last_report >= _EVERY_SECONDS:
            self._last_report = now
            self._report(connections)

    def _report(self, connections: int) -> None:
        refusals = self._refusals()
        values = {CONNECTIONS: connections, LAG: round(self._worst_lag, 3), REFUSALS: refusals - self._refusals_before}
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in _UNITS.items()],
        }
        header = {"Timestamp": int(time() * 1000), "CloudWatchMetrics": [directive]}
        _logger.info("metrics", _aws=header, **self._dimensions, **values)
        self._worst_lag = 0.0
        self._refusals_before = refusals

    def _refusals(self) -> float:
        """How many handshakes this process has refused for want of room."""
        samples = (sample for metric in self._metrics.refusals.collect() for sample in metric.samples)
        return sum(sample.value for sample in samples if sample.labels.get("reason") == "at_capacity")
