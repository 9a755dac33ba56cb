"""Metrics for CloudWatch in the log, once a minute: scaling, alarms and dashboard (infra/) go by these names.

CloudWatch makes metrics of log lines in its embedded metric format, without an agent:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

A metric costs by its name and its dimensions, so this is the part of /metrics that the dashboard needs, of every
process under the same dimensions: the number of metrics does not grow with the number of tasks.
"""

from collections import defaultdict
from time import time

import structlog

from service.engine.foundation import endings
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.project import read_project
from service.engine.foundation.settings import Settings

NAMESPACE = "WebSocketService"
CONNECTIONS = "OpenConnections"
LAG = "EventLoopLag"
OUTBOXES = "OutboxBytes"
REFUSALS = "CapacityRefusals"
DIMENSIONS = ("Service", "Environment")

CLOSE_CODES = tuple(sorted(endings.CODES))
COUNTS: dict[str, tuple[str, str | None]] = {
    "Handshakes": ("websocket_handshakes_total", None),
    "Refusals": ("websocket_refusals_total", None),
    REFUSALS: ("websocket_refusals_total", "at_capacity"),
    "MessagesReceived": ("websocket_messages_received_total", None),
    "MessagesSent": ("websocket_messages_sent_total", None),
    "BadMessages": ("websocket_bad_messages_total", None),
    "SlowConsumers": ("websocket_slow_consumers_total", None),
    "HeartbeatTimeouts": ("websocket_heartbeat_timeouts_total", None),
    "Drained": ("websocket_drained_total", None),
    "Bugs": ("websocket_handler_errors_total", None),
    "DatabaseUnavailable": ("database_unavailable_total", None),
    "BrokerReconnects": ("broker_reconnects_total", None),
    "HistoryQueries": ("hub_history_queries_total", None),
    "Closes": ("websocket_closes_total", None),
    **{f"Closes{code}": ("websocket_closes_total", str(code)) for code in CLOSE_CODES},
}
"""What happened between two reports: a time series, and the value of its label where only one is meant."""

UNITS = {CONNECTIONS: "Count", LAG: "Seconds", OUTBOXES: "Bytes"} | dict.fromkeys(COUNTS, "Count")

_EVERY_SECONDS = 60.0

_logger = structlog.get_logger(__name__)


class CloudWatch:
    """What one process tells CloudWatch about itself; nothing, where logs are for people."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._enabled = settings.logs_as_json
        self._dimensions = dict(zip(DIMENSIONS, (read_project().name, str(settings.environment)), strict=True))
        self._last_report: float | None = None
        self._worst_lag = 0.0
        self._before = self._totals()

    def observe(self, now: float, lag: float, connections: int) -> None:
        """Remember the worst lag, and report once a minute. `now` is a monotonic time."""
        self._worst_lag = max(self._worst_lag, lag)
        if self._last_report is None:
            self._last_report = now
        elif self._enabled and now - self._last_report >= _EVERY_SECONDS:
            self._last_report = now
            self._report(connections)

    def _report(self, connections: int) -> None:
        totals = self._totals()
        values = {
            CONNECTIONS: connections,
            LAG: round(self._worst_lag, 3),
            OUTBOXES: totals["websocket_outbox_bytes", None],
            **{name: totals[series] - self._before[series] for name, series in COUNTS.items()},
        }
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": [{"Name": name, "Unit": unit} for name, unit in UNITS.items()],
        }
        header = {"Timestamp": int(time() * 1000), "CloudWatchMetrics": [directive]}
        _logger.info("metrics", _aws=header, **self._dimensions, **values)
        self._worst_lag = 0.0
        self._before = totals

    def _totals(self) -> defaultdict[tuple[str, str | None], float]:
        """Every time series of this process, whole and by the values of its labels."""
        totals: defaultdict[tuple[str, str | None], float] = defaultdict(float)
        for metric in self._metrics.registry.collect():
            for sample in metric.samples:
                for part in (None, *sample.labels.values()):
                    totals[sample.name, part] += sample.value
        return totals
