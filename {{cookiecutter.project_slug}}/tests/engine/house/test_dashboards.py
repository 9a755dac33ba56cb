"""The dashboards show what the engine measures, all of it; what you measure and show besides is yours."""

import json
import re

import pytest
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from service.engine.foundation import endings
from service.engine.foundation.metrics import Metrics
from service.engine.observability import cloudwatch
from tests.engine.kit.commands import PROJECT

DASHBOARD = json.loads((PROJECT / "docs" / "grafana-dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
WORD = re.compile(r"\b[a-z][a-z0-9_]+(?=\{)")


def labels_by_name() -> dict[str, set[str]]:
    """The labels of every time series that the service exposes."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            labels = {*metric._labelnames, *(["le"] if isinstance(metric, Histogram) else [])}
            for family in metric.describe():
                suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_count", "_sum"]}[
                    family.type
                ]
                found |= {f"{family.name}{suffix}": labels for suffix in suffixes}
    return found


SERIES = labels_by_name()
OURS = ("websocket_", "hub_", "broker_", "database_", "event_loop_", "http_request_")
"""How the names of the engine's series begin."""
OUR_EXPRESSIONS = [
    text for text in EXPRESSIONS if (names := WORD.findall(text)) and all(name.startswith(OURS) for name in names)
]


def test_there_is_something_to_compare() -> None:
    assert SERIES["websocket_closes_total"] == {"code"}
    assert len(OUR_EXPRESSIONS) > 20
    assert all(name.startswith(OURS) for name in SERIES)


@pytest.mark.parametrize("expression", OUR_EXPRESSIONS)
def test_every_series_and_label_of_the_dashboard_exists(expression: str) -> None:
    names = WORD.findall(expression)
    assert names
    for name in names:
        assert name in SERIES
        for grouped in re.findall(r" by \(([^)]*)\)", expression):
            assert set(grouped.split(", ")) <= SERIES[name]


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        re.sub(r"_(total|bucket|count|sum)$", "", name)
        for expression in EXPRESSIONS
        for name in WORD.findall(expression)
    }
    assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in SERIES} - shown == set()


def test_every_panel_says_what_it_means_and_overlaps_no_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_every_cloudwatch_metric_counts_a_series_that_exists() -> None:
    for series, value in cloudwatch.COUNTS.values():
        assert series in SERIES
        assert value is None or SERIES[series]


def test_cloudwatch_counts_every_way_to_end() -> None:
    assert set(cloudwatch.CLOSE_CODES) == endings.CODES


def test_the_cloudwatch_dashboard_shows_what_the_engine_reports() -> None:
    dashboard = (PROJECT / "infra" / "dashboard.tf").read_text()
    shown = {name for names in re.findall(r"names += \[(.*)\]", dashboard) for name in re.findall(r'"(\w+)"', names)}
    assert cloudwatch.UNITS.keys() - shown == set()


def test_scaling_and_alarms_go_by_metrics_that_the_service_reports() -> None:
    declared = dict(re.findall(r'^ +(\w+) += "(\w+)"$', (PROJECT / "infra" / "metrics.tf").read_text(), re.MULTILINE))
    assert declared.pop("namespace") == cloudwatch.NAMESPACE
    assert set(declared.values()) >= {cloudwatch.CONNECTIONS, cloudwatch.LAG, cloudwatch.REFUSALS}


def test_both_dashboards_tell_the_same_story() -> None:
    """What Grafana shows and CloudWatch does not count is measured by AWS, reported otherwise, or for those who dig."""
    measured_by_aws = {"http_request_seconds_bucket", "http_request_seconds_count", "database_seconds_bucket"}
    reported_otherwise = {"websocket_connections", "websocket_outbox_bytes", "event_loop_lag_seconds_bucket"}
    for_digging = {
        *{"websocket_draining", "websocket_limits_total"},  # the log says when a drain begins; limits are among closes
        *{"hub_topics", "hub_events_total", "hub_gaps_total", "hub_unreadable_events_total", "broker_connected"},
        *{"hub_delivery_errors_total", "broker_events_dropped_total", "hub_signals_dropped_total", "hub_users_present"},
    }
    in_grafana = {name for expression in OUR_EXPRESSIONS for name in WORD.findall(expression)}
    counted = {series for series, _ in cloudwatch.COUNTS.values()}
    assert in_grafana - counted == measured_by_aws | reported_otherwise | for_digging
