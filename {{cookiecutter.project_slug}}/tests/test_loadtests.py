"""The load scenarios of comments and notifications measure what they say, on a service that loses nothing."""

from pathlib import Path

import pytest

from tests.engine.kit.load import ENOUGH, load
from tests.engine.kit.running import Service

MEASURED = {
    *("comments connect", "comments delivery", "comments last subscriber", "comments stored"),
    *("notifications connect", "notifications delivery"),
}


@pytest.mark.timeout(2 * ENOUGH)
async def test_a_short_smoke_run_measures_everything_and_loses_nothing(service: Service, tmp_path: Path) -> None:
    before = service.database.value("select count(*) from comments")
    options = ["--host", service.http, "--users", "40", "--spawn-rate", "40", "--run-time", "3s"]
    levels = tmp_path / "levels.toml"
    levels.write_text("failures = 0")
    run = await load(tmp_path, "smoke", *options, "--levels", str(levels))
    assert (run.code, run.breaches) == (0, []), run.output
    assert MEASURED <= run.counts().keys()
    assert run.counts()["comments stored"] == service.database.value("select count(*) from comments") - before
