"""The times and sizes of timing.tf: a plan refuses those that do not fit each other."""

import itertools
import json
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.cloud import Terraform

needs_terraform = pytest.mark.needs("terraform")


# The space of timing.tf. Each rule is said a second time here, by hand.
SPACE: dict[str, list[float]] = {
    "heartbeat_interval": [0, 1, 30, 55, 300],
    "heartbeat_timeout": [0, 1, 10, 60],
    "idle_timeout": [0, 1, 40, 41, 60, 66, 120, 361, 4000, 4001],
    "drain_seconds": [0, 1, 20, 39, 40, 54, 55, 114, 115],
    "stop_timeout": [1, 2, 26, 60, 61, 119, 120, 121],
    "deregistration_delay": [0, 40, 41, 74, 75, 120, 135, 3600, 3601],
    "min_tasks": [0, 1, 2, 4],
    "max_tasks": [1, 2, 4, 7, 40],
    "processes": [0, 1, 2, 4],
    "task_cpu": [256, 1024, 2048, 4096],
    "database_pool_size": [0, 1, 5, 20],
    "database_max_connections": [19, 20, 66, 107, 108, 400, 5000, 5001],
    "max_connections": [0, 1, 1000, 10000, 64536, 64537],
    "open_files": [1023, 1024, 2000, 65536, 1048576],
    "connections_per_task": [0, 1, 800, 801, 8000, 8001],
    "cpu_percent": [9, 10, 90, 91],
}


GOOD: dict[str, float] = {
    "heartbeat_interval": 30,
    "heartbeat_timeout": 10,
    "idle_timeout": 120,
    "drain_seconds": 20,
    "stop_timeout": 60,
    "deregistration_delay": 60,
    "min_tasks": 1,
    "max_tasks": 4,
    "processes": 1,
    "task_cpu": 512,
    "database_pool_size": 5,
    "database_max_connections": 100,
    "max_connections": 10000,
    "open_files": 65536,
    "connections_per_task": 4000,
    "cpu_percent": 60,
}


def fits(case: dict[str, float]) -> bool:
    return all(
        [
            case["heartbeat_interval"] >= 1,
            case["heartbeat_timeout"] > 0,
            1 <= case["idle_timeout"] <= 4000,
            case["idle_timeout"] > case["heartbeat_interval"] + case["heartbeat_timeout"],
            case["drain_seconds"] >= 1,
            case["drain_seconds"] + 5 < case["stop_timeout"] <= 120,
            case["drain_seconds"] + 20 < case["deregistration_delay"] <= 3600,
            1 <= case["min_tasks"] <= case["max_tasks"],
            1 <= case["processes"] <= -(-case["task_cpu"] // 1024),
            case["database_pool_size"] >= 1,
            20 <= case["database_max_connections"] <= 5000,
            2 * case["max_tasks"] * case["processes"] * (case["database_pool_size"] + 2) + 10
            <= case["database_max_connections"],
            case["max_connections"] >= 1,
            1024 <= case["open_files"] <= 1048576,
            case["max_connections"] + 1000 <= case["open_files"],
            1 <= case["connections_per_task"] <= 0.8 * case["max_connections"] * case["processes"],
            10 <= case["cpu_percent"] <= 90,
        ]
    )


def cases() -> list[dict[str, float]]:
    """A working combination with one or two values changed: every one alone, and pairs by chance."""
    chance = random.Random(20261122)
    single = [{**GOOD, name: value} for name, values in SPACE.items() for value in values]
    pairs = [
        {**GOOD, first: chance.choice(SPACE[first]), second: chance.choice(SPACE[second])}
        for first, second in itertools.combinations(SPACE, 2)
        for _ in range(2)
    ]
    return [GOOD, *single, *pairs]


def refusals(terraform: Terraform, numbered: list[tuple[int, dict[str, float]]]) -> set[int]:
    """Which of the cases a plan refuses."""
    blocks = [
        [
            f'module "case_{number}" {{',
            'source = "../timing"',
            'environment = "staging"',
            *(f"{name} = {value}" for name, value in case.items()),
            "}",
        ]
        for number, case in numbered
    ]
    (terraform.directory / "main.tf").write_text("\n".join(line for block in blocks for line in block))
    terraform.run("init", "-input=false")
    found = set()
    for line in map(json.loads, terraform.attempt("plan", "-input=false", "-json").stdout.splitlines()):
        if "diagnostic" in line:
            assert len(line["diagnostic"]["detail"]) > 40
            found.add(numbered[(line["diagnostic"]["range"]["start"]["line"] - 1) // len(blocks[0])][0])
    return found


@needs_terraform
def test_every_wrong_combination_of_times_and_sizes_fails_at_plan(project: Path, tmp_path: Path) -> None:
    """timing.tf alone, many times in one plan: what Terraform refuses is what does not fit, and nothing else."""
    module, root = tmp_path / "timing", tmp_path / "root"
    module.mkdir()
    root.mkdir()
    shutil.copy(project / "infra" / "timing.tf", module)
    (module / "rest.tf").write_text('variable "environment" {}\nvariable "task_cpu" {}\n')
    everything = cases()
    terraform = Terraform(root, {"PATH": os.environ["PATH"]})
    refused: set[int] = set()
    # What one variable says about itself stops Terraform before it looks at what several say together.
    while newly := refusals(terraform, [(n, case) for n, case in enumerate(everything) if n not in refused]):
        refused |= newly
    wrong = {number for number, case in enumerate(everything) if not fits(case)}
    assert 100 < len(wrong) < len(everything) - 50
    assert refused == wrong
