"""The dashboards show what the service measures, all of it, and nothing else."""

import json
import re

import pytest
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from service.observability.metrics import Metrics
from tests.commands import PROJECT

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


def test_there_is_something_to_compare() -> None:
    assert SERIES["websocket_closes_total"] == {"code"}
    assert len(EXPRESSIONS) > 20


@pytest.mark.parametrize("expression", EXPRESSIONS)
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


def test_the_cloudwatch_dashboard_names_only_what_the_service_reports() -> None:
    declared = (PROJECT / "infra" / "metrics.tf").read_text()
    names = dict(re.findall(r'^ +(namespace|connections|lag|refusals) += "(\w+)"$', declared, re.MULTILINE))
    reported = (PROJECT / "service" / "observability" / "cloudwatch.py").read_text()
    assert len(names) == 4
    for name in names.values():
        assert f'"{name}"' in reported
    used = re.findall(r"local\.metrics\.(\w+)", (PROJECT / "infra" / "dashboard.tf").read_text())
    assert set(names) <= set(used)
    assert set(used) <= {*names, "dimensions"}
