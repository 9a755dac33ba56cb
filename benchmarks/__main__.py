"""Runs the service beside its peers and writes RESULTS.md and results.svg: `make benchmarks`."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.engine.kit.postgres import Cluster

from benchmarks.crowd import crowd
from benchmarks.fanout_latency import fanout_latency
from benchmarks.measure import SERVER_CORES, Figures, measure
from benchmarks.observing import observing
from benchmarks.presence import presence
from benchmarks.report import write
from benchmarks.resting import resting
from benchmarks.scale import scale
from benchmarks.servers import BIN, BUILD, HERE, NODE, Ours, Peer, peers
from benchmarks.signals import signals
from benchmarks.stalled_reader import stalled_reader
from benchmarks.storing import storing
from benchmarks.ways import ways

_RUNS, _SECONDS = 5, 1.5
_HOLD_SECONDS = 45.0
"""How long ours holds its idle connections in the last run: until after their first heartbeat."""


def install() -> None:
    """The peers, into a virtual environment of their own; nothing to do the second time."""
    requirements = HERE / "requirements.txt"
    installed = BUILD / "requirements.txt"
    if not installed.exists() or installed.read_bytes() != requirements.read_bytes():
        run(sys.executable, "-m", "venv", "--clear", BIN.parent)
        run(BIN / "python", "-m", "pip", "install", "--quiet", "--require-hashes", "-r", requirements)
        shutil.copy(requirements, installed)
    if shutil.which("npm"):
        shutil.copytree(HERE / "peers" / "node", NODE, dirs_exist_ok=True)
        run("npm", "ci", "--silent", "--no-audit", "--no-fund", "--prefix", NODE)
    else:
        print("ws is left out: Node.js and npm are missing (Debian, Ubuntu: apt-get install npm)")


def run(*command: str | Path) -> None:
    subprocess.run(list(map(str, command)), check=True)


def compare(cluster: Cluster, runs: int, seconds: float) -> dict[str, list[Figures]]:
    """Every server once, then every server again, so that a slow minute of the machine falls on all of them."""
    servers: Sequence[Ours | Peer] = [Ours(cluster), *peers()]
    figures: dict[str, list[Figures]] = {server.name: [] for server in servers}
    for number in range(1, runs + 1):
        for server in servers:
            hold = _HOLD_SECONDS if isinstance(server, Ours) and number == runs > 1 else 1.0
            running = server.start(SERVER_CORES)
            try:
                measured = measure(running, server.dialect, seconds, hold)
            except RuntimeError as failed:  # one run of one server is not worth all the others
                print(f"run {number} of {runs}  {server.name}: {failed}", flush=True)
                continue
            finally:
                running.stop()
            figures[server.name].append(measured)
            row = "  ".join(
                f"{name} {measured[name]:.1f}" for name in ("delivery", "echo", "json", "handshake", "memory")
            )
            print(f"run {number} of {runs}  {server.name:<26} {row}", flush=True)
    return {name: measured for name, measured in figures.items() if measured}


def alone(cluster: Cluster) -> list[str]:
    """What the service promises of storing and delivering, with nobody to compare it with."""
    lines = []
    on_cluster = (fanout_latency, stalled_reader, ways, presence, signals, resting)
    for benchmark in (storing, *(partial(each, cluster) for each in on_cluster)):
        for line in benchmark():
            print(line, flush=True)
            lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="make benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run, printed and not written")
    parser.add_argument("--observing", action="store_true", help="what traces and error reports cost, printed")
    arguments = parser.parse_args()
    quick: bool = arguments.quick
    BUILD.mkdir(parents=True, exist_ok=True)
    install()
    cluster = Cluster("service")
    try:
        if arguments.observing:
            for line in observing(cluster, 1 if quick else _RUNS, _SECONDS):
                print(line, flush=True)
            return
        figures = compare(cluster, *((1, 1.0) if quick else (_RUNS, _SECONDS)))
        if not quick:
            write(figures, crowd(cluster), scale(cluster, _SECONDS), alone(cluster))
    finally:
        cluster.destroy()


if __name__ == "__main__":
    main()
