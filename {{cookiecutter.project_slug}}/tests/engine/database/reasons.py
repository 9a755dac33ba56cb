"""Why something does not work, as the log of a service says it."""

from typing import Any

from tests.engine.kit.running import Service
from tests.engine.kit.waiting import eventually


def events(service: Service, event: str) -> list[dict[str, Any]]:
    return [line for line in service.log_lines() if line["event"] == event]


async def reason(service: Service, event: str) -> str:
    """Why something does not work, by the first line that the log has of it."""
    await eventually(lambda: events(service, event), f"the log says {event}")
    line = events(service, event)[0]
    assert line["level"] == "warning"
    assert line["failures"] == 1, "it was said at once"
    return str(line["why"])
