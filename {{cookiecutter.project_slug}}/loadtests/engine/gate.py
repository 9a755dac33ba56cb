"""Whether a run kept its levels: one line for each that it did not."""

from collections.abc import Iterator
from typing import Any

from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from loadtests.engine.measures import NEVER
from loadtests.engine.wording import percent

_ALL_REASONS = 3


def breaches(environment: Environment, levels: dict[str, Any]) -> Iterator[str]:
    """One line for each level that the run did not keep."""
    stats = environment.stats
    allowed = levels.get("failures", 0)
    for measure, limits in levels.items():
        if measure != "failures":
            yield from _slow(measure, limits, stats)
    for error in stats.errors.values():
        if error.name.endswith(tuple(f" {fault}" for fault in NEVER)):
            yield f"{error.name}: {error.occurrences}, and one is too many"
    if stats.total.num_requests == 0:
        yield "nothing was measured"
    elif 100 * stats.total.fail_ratio > allowed:
        share = f"{percent(stats.total.fail_ratio)} of all measures, and {allowed} are allowed"
        yield f"failures: {share}: {_reasons(stats)}"
    assert environment.runner is not None
    for exception in environment.runner.exceptions.values():
        yield f"the load test itself failed {exception['count']} times: {exception['msg']}"


def _slow(measure: str, limits: dict[str, float], stats: RequestStats) -> Iterator[str]:
    entry = _entry(measure, stats)
    for percentile, limit in limits.items():
        if entry is None or entry.num_requests == entry.num_failures:
            yield f"{measure} {percentile}: nothing was measured, and it has to be below {limit} ms"
            continue
        milliseconds = entry.get_response_time_percentile(float(percentile.removeprefix("p")) / 100)
        if milliseconds >= limit:
            yield f"{measure} {percentile}: {milliseconds:g} ms, and it has to be below {limit}"


def _entry(measure: str, stats: RequestStats) -> StatsEntry | None:
    return next(
        (entry for (name, _), entry in stats.entries.items() if measure in {name, entry.method + " " + name}), None
    )


def _reasons(stats: RequestStats) -> str:
    worst = sorted(stats.errors.values(), key=lambda error: -error.occurrences)[:_ALL_REASONS]
    return "; ".join(f"{error.name}: {error.error} ({error.occurrences} times)" for error in worst)
