"""Latency over load, as a picture: drawn from the CSV files that Locust leaves behind."""

import csv
from collections import defaultdict
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.engine.scenario import levels_in

Row = dict[str, str]
PERCENTILES = {"50%": "#4c78a8", "95%": "#f58518", "99%": "#e45756"}
_LOAD = "#dddddd"


def draw(reports: Path, scenario: str, levels: Path | None) -> Path | None:
    """Draw a run's chart next to its files; returns where it is, or None when nothing was measured."""
    with (reports / "run_stats_history.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["50%"] != "N/A" and row["User Count"] != "0"]
    measures = {row["Name"] for row in rows} - {"Aggregated"}
    measure = next((name for name in [*levels_in(levels), *sorted(measures)] if name in measures), None)
    if measure is None:
        return None
    rows = [row for row in rows if row["Name"] == measure and float(row["Requests/s"]) > 0]
    mpl.rcParams.update({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False})
    figure = Figure(figsize=(9, 3.2), dpi=110, layout="constrained")
    figure.suptitle(f"{scenario}: {measure}")
    loads = {row["User Count"] for row in rows}
    panels = [_over_time, _over_load] if len(loads) > 1 else [_over_time]
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        panel(axes, rows)
        axes.set_ylabel("milliseconds")
        axes.set_ylim(bottom=0)
        axes.legend(loc="best", frameon=False)
    picture = reports / "latency.png"
    figure.savefig(picture)
    return picture


def _over_time(axes: Axes, rows: list[Row]) -> None:
    seconds = [int(row["Timestamp"]) - int(rows[0]["Timestamp"]) for row in rows] if rows else []
    for percentile, colour in PERCENTILES.items():
        axes.plot(seconds, [float(row[percentile]) for row in rows], color=colour, label=f"p{percentile[:-1]}")
    load = axes.twinx()
    load.fill_between(seconds, [int(row["User Count"]) for row in rows], color=_LOAD, step="mid")
    load.set_ylabel("users (grey)")
    load.set_ylim(bottom=0)
    axes.set_zorder(load.get_zorder() + 1)
    axes.patch.set_visible(False)
    axes.set_xlabel("seconds")


def _over_load(axes: Axes, rows: list[Row]) -> None:
    by_users: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_users[int(row["User Count"])].append(row)
    users = sorted(by_users)
    for percentile, colour in PERCENTILES.items():
        middle = [median(float(row[percentile]) for row in by_users[count]) for count in users]
        axes.plot(users, middle, marker=".", color=colour, label=f"p{percentile[:-1]}")
    axes.set_xlabel("users")
    axes.set_xlim(left=0)
