"""Writes what was measured: a table and a chart, with the machine, the versions and the date."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import crowd
from benchmarks.measure import ECHOES, FAN_OUT, HANDSHAKES, IDLE, Figures, trusted
from benchmarks.scale import Scale
from benchmarks.servers import BIN, HERE, NODE

_COLUMNS = {
    "delivery": "CPU µs per delivery", "burst": "in bursts of 10", "echo": "per echo", "json": "per JSON message",
    "handshake": "per handshake", "memory": "KiB per idle connection", "delivery_p50": "delivery p50 ms",
    "delivery_p99": "p99 ms", "echo_p99": "echo p99 ms",
}  # fmt: skip
_SPREAD = {"delivery", "burst", "echo", "json", "handshake"}
_CHARTED = {"delivery": "CPU µs per fan-out delivery", "echo": "CPU µs per echo", "memory": "KiB per idle connection"}
_PACKAGES = ("uvicorn", "fastapi", "gunicorn", "granian", "websockets", "picows", "python-socketio", "channels")
_BUSY = 0.6
"""How much of its core a task should use, so that a deployment or a lost neighbour does not overload it."""

Runs = Mapping[str, Sequence[Figures]]


def write(runs: Runs, crowds: Mapping[str, Figures], scaled: Sequence[Scale], alone: Sequence[str]) -> None:
    medians = {name: {key: median(run[key] for run in figures) for key in figures[0]} for name, figures in runs.items()}
    (HERE / "results.svg").write_text(chart(medians))
    ours = medians["this service"]
    text = "\n\n".join(
        [_heading(runs), _table(runs, medians), _method(), _crowd(crowds), _alone(alone), _scale(scaled, ours)]
    )
    (HERE / "RESULTS.md").write_text(text + "\n")


def _heading(runs: Runs) -> str:
    count = len(next(iter(runs.values())))
    return (
        f"# The service beside its peers\n\n{date.today().isoformat()} · {_processor()}, {os.cpu_count()} cores · "
        f"Linux {platform.release().split('-')[0]} · Python {platform.python_version()} · {_versions()}\n\n"
        f"Medians of {count} interleaved runs; in brackets the lowest and the highest. `make benchmarks` runs it "
        "again, `make benchmarks ARGS=--quick` prints one short run.\n\n"
        "![CPU and memory of the service and its peers](results.svg)"
    )


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _versions() -> str:
    listed = subprocess.run(
        [BIN / "python", "-m", "pip", "list", "--format", "json"], check=True, capture_output=True, text=True
    ).stdout
    versions = {package["name"].lower(): package["version"] for package in json.loads(listed)}
    names = [f"{name} {versions[name]}" for name in _PACKAGES]
    if node := shutil.which("node"):
        lock = json.loads((NODE / "package-lock.json").read_text())
        found = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip()
        names.append(f"ws {lock['packages']['node_modules/ws']['version']} on Node.js {found.removeprefix('v')}")
    return " · ".join([*names, f"uvloop {version('uvloop')} under all that is Python"])


def _table(runs: Runs, medians: Mapping[str, Figures]) -> str:
    rows = [f"| one process | {' | '.join(_COLUMNS.values())} |", f"| --- |{' ---: |' * len(_COLUMNS)}"]
    for name, figures in sorted(medians.items(), key=lambda server: server[1]["delivery"]):
        mark = "" if all(map(trusted, runs[name])) else " (client too busy)"
        cells = [_cell(key, figures[key], [run[key] for run in runs[name]]) for key in _COLUMNS]
        shown = f"**{name}**" if name == "this service" else name
        rows.append(f"| {shown}{mark} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(key: str, middle: float, values: Sequence[float]) -> str:
    digits = 0 if key == "handshake" else 1
    spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if key in _SPREAD else ""
    return f"{middle:.{digits}f}{spread}"


def _method() -> str:
    return f"""\
## What is measured

CPU time of the server's processes, user and system, as the scheduler counts it: on a shared machine it says more than
messages a second. The server has one core, the client another; a row is marked if the client was busy for 90 % of the
time in any run. No client offers compression. Latencies are the whole way from the sender to each receiver, on
a machine that others use too.

- **Delivery**: a message of 120 bytes to {FAN_OUT} subscribers of one topic, 20 times a second. The cost of publishing,
  measured with ten subscribers, is taken off, so this is the cost of one more subscriber; ours stores each
  comment in PostgreSQL first, which the others do not, and PostgreSQL's own processes are not counted. In bursts: ten
  senders at once, twice a second.
- **Echo**, **JSON**: 120 bytes and back, {ECHOES} connections, 5,000 messages a second in all.
- **Handshake**: {HANDSHAKES} connections, ten at a time. Ours verifies a JWT and subscribes; the others accept anybody.
- **Memory**: growth of the resident memory with {IDLE:,} connections. Ours are authenticated, subscribed, and held past
  their first heartbeat in the last run.

Ours is `python -m service serve` with its defaults (PostgreSQL, heartbeats, limits, metrics, JSON log), but for
`RATE_LIMIT=0`: a few clients make all the load. The peers are the programs in [peers/](peers), with their servers'
defaults; python-socketio and Channels add a protocol or a layer of their own. picows and ws are no frameworks: no
routing, no validation, no authentication, one process."""


def _crowd(crowds: Mapping[str, Figures]) -> str:
    rows = [
        f"| {name} | {' | '.join(f'{figures[key]:.1f}' for key in crowd.COLUMNS)} |"
        for name, figures in sorted(crowds.items(), key=lambda server: server[1]["cpu"])
    ]
    return "\n".join(
        [
            "## Many at rest, and many that come back at once",
            "",
            f"Of ours, each of the {crowd.RESTING:,} is authenticated, subscribed and heart-beating, and each of the",
            f"{crowd.RETURNING:,} verifies a token, subscribes, and is sent what it missed. The others accept anybody,",
            "and keep no positions. Meanwhile ten bystanders wait for echoes, a hundred times a second each. Medians",
            "of three interleaved runs.",
            "",
            f"| one process | {' | '.join(crowd.COLUMNS.values())} |",
            f"| --- |{' ---: |' * len(crowd.COLUMNS)}",
            *rows,
        ]
    )


def _alone(lines: Sequence[str]) -> str:
    return "\n".join(["## Storing and delivering, the service alone", "", *(f"- {line}" for line in lines)])


def _scale(scaled: Sequence[Scale], ours: Figures) -> str:
    rows = [
        f"| {one.connections:,} | {one.workers} | {one.delivery:.1f} | {one.echo:.1f} | {one.memory:.1f} |"
        for one in scaled
    ]
    most = max(one.connections for one in scaled)
    delivery = max(one.delivery for one in scaled if one.connections == most)
    memory = max(one.memory for one in scaled if one.connections == most)
    return "\n".join(
        [
            "## Scale",
            "",
            "The service alone, at 5,000 echoes and 10,000 deliveries a second whatever the number of connections;",
            "here a delivery includes its share of publishing. Two processes share a core with the client.",
            "",
            "| connections | processes | CPU µs per delivery | per echo | KiB per idle connection |",
            "| ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            "### What a task with one virtual CPU carries, on paper",
            "",
            _on_paper(delivery, memory, ours),
        ]
    )


def _on_paper(delivery: float, memory: float, ours: Figures) -> str:
    deliveries = _BUSY * 1e6 / delivery
    return (
        f"Kept at {_BUSY:.0%} of a core like this one, a process makes {deliveries:,.0f} deliveries a second "
        f"({_BUSY:g} s ÷ {delivery:.1f} µs), or answers {_BUSY * 1e6 / ours['json']:,.0f} small messages. With "
        f"`MAX_CONNECTIONS` at its default of 10,000 that is {deliveries / 10_000:.1f} messages a second to every "
        f"client, and the connections take {10_000 * memory / 1024:,.0f} MiB. When all of them come back after a "
        f"deployment, their handshakes take {10_000 * ours['handshake'] / 1e6:.0f} s of CPU, which `DRAIN_SECONDS` "
        "spreads. A vCPU of the cloud may be half as fast as this core, and your handlers take their share: "
        "`connections_per_task` in infra/ leaves room for both."
    )


def chart(medians: Mapping[str, Figures]) -> str:
    """Bars of the charted figures, one panel each, the shortest on top; readable on light and dark pages."""
    width, bar, label, top = 720, 20, 190, 34
    height = (top + bar * len(medians) + 14) * len(_CHARTED)
    box = f'viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    y = 0
    for key, title in _CHARTED.items():
        parts.append(f'<text x="8" y="{y + 22}" font-weight="bold">{title}</text>')
        y += top
        longest = max(figures[key] for figures in medians.values())
        for name, figures in sorted(medians.items(), key=lambda server: server[1][key]):
            length = (width - label - 70) * figures[key] / longest
            colour = "#0b6e4f" if name == "this service" else "#9aa5b1"
            parts += [
                f'<text x="{label - 8}" y="{y + 14}" text-anchor="end">{name}</text>',
                f'<rect x="{label}" y="{y + 3}" width="{length:.1f}" height="{bar - 6}" fill="{colour}"/>',
                f'<text x="{label + length + 6:.1f}" y="{y + 14}">{figures[key]:.1f}</text>',
            ]
            y += bar
        y += 14
    return "\n".join([*parts, "</svg>"]) + "\n"
