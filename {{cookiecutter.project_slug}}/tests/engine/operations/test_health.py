"""What a load balancer asks, and what an operator reads."""

import asyncio

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.http_client import http_client
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import eventually


async def test_a_living_process_is_healthy_and_ready(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
async def test_these_need_no_token(http: httpx.AsyncClient, path: str) -> None:
    assert (await http.get(path)).status_code == 200


async def test_a_health_check_may_ask_for_the_head_alone(http: httpx.AsyncClient) -> None:
    assert (await http.head("/healthz")).status_code in {200, 405}


async def test_documents_are_served_by_this_process_alone(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {"/api/rooms/{room_id}/entries", "/api/letters"} <= set(paths)


def samples(text: str) -> dict[str, float]:
    """The sum of each metric's samples, over all labels."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0) + sample.value
    return sums


async def test_metrics_are_in_the_format_of_prometheus(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    assert len(families) > 5


async def test_open_connections_are_counted(service: Service, connect: Connect, http: httpx.AsyncClient) -> None:
    await eventually(lambda: service.open_sockets() <= 1, "at most the HTTP client is connected")

    async def counts(number: int) -> bool:
        return samples((await http.get("/metrics")).text)["websocket_connections"] == number

    await eventually(lambda: counts(0), "no connection is counted")
    clients = [await connect(service, "/ws/letters", user=user) for user in range(1, 8)]
    await eventually(lambda: counts(7), "seven connections are counted")
    for client in clients:
        await client.close()
    await eventually(lambda: counts(0), "no connection is counted any more")


async def test_operations_on_the_database_are_measured(
    service: Service, connect: Connect, http: httpx.AsyncClient, room: int
) -> None:
    before = samples((await http.get("/metrics")).text)
    client = await connect(service, f"/ws/rooms/{room}", user=1)
    await client.ask({"type": "new_entry", "body": "a"})
    after = samples((await http.get("/metrics")).text)
    assert after["database_seconds_count"] > before["database_seconds_count"]
    assert after["database_seconds_sum"] - before["database_seconds_sum"] > 0


async def test_metrics_of_several_workers_are_one(shared_service: StartService, connect: Connect) -> None:
    service = shared_service(WEB_CONCURRENCY="2")
    for user in range(1, 12):
        await connect(service, "/ws/letters", user=user)
    await eventually(lambda: whatever_worker_answers(service, "websocket_connections", 11), "all are counted")


async def whatever_worker_answers(service: Service, metric: str, value: float) -> bool:
    """Whether a metric has this value: every request makes a connection of its own."""
    async with http_client(service.http, headers={"Connection": "close"}) as http:
        answers = [await http.get("/metrics") for _ in range(6)]
    return all(samples(answer.text).get(metric) == value for answer in answers)


async def test_no_token_is_in_a_metric(service: Service, connect: Connect, http: httpx.AsyncClient) -> None:
    user = 8_472_625_190_734_517  # no measurement happens to hold it
    secret = token(user)
    client = await connect(service, "/ws/letters", token=secret)
    await client.lives()
    text = (await http.get("/metrics")).text
    assert secret not in text
    assert "token=" not in text
    assert str(user) not in text


async def test_metrics_of_several_workers_are_one_though_the_application_was_imported_early(
    shared_service: StartService, connect: Connect
) -> None:
    """Before the command has said where several processes add theirs up."""
    service = shared_service(module="tests.engine.application.early", WEB_CONCURRENCY="2")
    for user in range(1, 9):
        await connect(service, "/ws/letters", user=user)
    await eventually(lambda: whatever_worker_answers(service, "websocket_connections", 8), "all are counted")


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_metric_of_the_applications_own_is_one_over_several_workers(
    shared_service: StartService, connect: Connect, workers: str
) -> None:
    service = shared_service(WEB_CONCURRENCY=workers)
    for user in range(1, 9):
        officer = await connect(service, "/ws/clubs/1", token=token(user, clubs=[1], role="officer"))
        await officer.send({"type": "announce", "text": "hello"})
        await officer.receive_until("announced")

    async def all_agree() -> bool:
        made = await asyncio.to_thread(service.database.value, "select count(*) from announcements")
        return await whatever_worker_answers(service, "club_announcements_total", made)

    await eventually(all_agree, "every worker counts what all have counted")


@pytest.mark.parametrize("table", ["streams", "tickets", "entries", "purchases"])
def test_a_table_that_is_missing_is_named(start_service: StartService, table: str) -> None:
    """Of the engine or of the application, of events or not."""
    service = start_service()
    service.database.execute(f"alter table {table} rename to lost")
    answer = service.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert table in answer.json()["failed"]["database"]
    assert "migrate" in answer.json()["failed"]["database"]
    service.database.execute(f"alter table lost rename to {table}")
    assert service.get("/readyz").status_code == 200
