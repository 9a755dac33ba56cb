"""The OpenAPI document says all that an HTTP client can be answered: every answer here is held against it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.http_client import http_client, http_request
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token

PROBLEM = {"type": "error", "code": "any", "message": "any"}
BUY, PURCHASES = "POST /api/clubs/{club_id}/purchases", "/api/clubs/1/purchases"
JOIN, LEAVE = (f"{method} /api/clubs/{{club_id}}/members/{{user_id}}" for method in ("PUT", "DELETE"))
MEMBER = "/api/clubs/1/members/7"
PROMISED = {
    "POST /api/tickets": {"200", "401", "403", "503"},
    "GET /api/letters": {"200", "401", "403", "422", "503"},
    "POST /api/letters": {"201", "401", "403", "413", "422", "503"},
    "GET /api/rooms/{room_id}/entries": {"200", "401", "403", "422", "503"},
    "GET /api/clubs/{club_id}/announcements": {"200", "401", "403", "422", "503"},
    JOIN: {"204", "401", "403", "422", "503"},
    LEAVE: {"204", "401", "403", "422", "503"},
    BUY: {"201", "401", "403", "409", "413", "422", "503"},
    "POST /api/users/{user_id}/disconnect": {"204", "401", "403", "422", "503"},
    "GET /healthz": {"200"},
    "GET /readyz": {"200", "503"},
    "GET /metrics": {"200"},
}
STREAMS = {
    "/api/streams/rooms/{room_id}": "/api/streams/rooms/1",
    "/api/streams/letters/{user_id}": "/api/streams/letters/1000000",
    "/api/streams/clubs/{club_id}": "/api/streams/clubs/1",
}
HISTORIES = {f"GET {path}": address for path, address in STREAMS.items()}
EVENTS = {f"GET {path}/events": f"{address}/events" for path, address in STREAMS.items()}
PRESENCE = "GET /api/streams/rooms/{room_id}/presence"
PROMISED[PRESENCE] = {"200", "401", "403", "404", "422", "503"}
PROMISED |= {operation: {"200", "304", "401", "403", "404", "422", "503"} for operation in HISTORIES}
PROMISED |= {operation: {"200", "401", "403", "404", "422", "503"} for operation in EVENTS}
CANNOT_COME = {operation: {"503"} for operation in PROMISED} | {
    "POST /api/tickets": {"403", "503"},
    "GET /api/letters": {"403", "503"},
    "GET /api/rooms/{room_id}/entries": {"403", "503"},
    PRESENCE: {"403", "503"},
    "GET /api/streams/rooms/{room_id}": {"304", "403", "503"},
    "GET /api/streams/rooms/{room_id}/events": {"200", "403", "503"},
}
"""Without an accident; a 403 is documented of whatever takes a token, because any reader or operation may refuse."""
for operation in HISTORIES:
    CANNOT_COME[operation] |= {"304"}  # without a condition
for operation in EVENTS:
    CANNOT_COME[operation] |= {"200"}  # has no end
WITH_TOKEN = [operation for operation in PROMISED if "/api/" in operation]
EVERYTHING = bearer(1_000_000, scope="letters:write connections:write clubs:write", clubs=[1])
EXAMPLES: list[tuple[str, int, str, dict[str, Any]]] = [
    ("GET /healthz", 200, "/healthz", {}),
    ("GET /readyz", 200, "/readyz", {}),
    ("GET /metrics", 200, "/metrics", {}),
    ("POST /api/tickets", 200, "/api/tickets", {"headers": EVERYTHING}),
    ("POST /api/tickets", 401, "/api/tickets", {}),
    ("POST /api/letters", 201, "/api/letters", {"headers": EVERYTHING, "json": {"user_id": 1, "data": {}}}),
    ("POST /api/letters", 401, "/api/letters", {"json": {"user_id": 1, "data": {}}}),
    ("POST /api/letters", 403, "/api/letters", {"headers": bearer(1), "json": {"user_id": 1, "data": {}}}),
    ("POST /api/letters", 413, "/api/letters", {"headers": EVERYTHING, "content": b" " * 65_537}),
    (
        "POST /api/letters",
        422,
        "/api/letters",
        {"headers": EVERYTHING, "json": {"user_id": "x", "data": {}}},
    ),
    ("GET /api/letters", 200, "/api/letters", {"headers": EVERYTHING}),
    ("GET /api/letters", 401, "/api/letters", {}),
    ("GET /api/letters", 422, "/api/letters?after=x", {"headers": EVERYTHING}),
    ("GET /api/rooms/{room_id}/entries", 200, "/api/rooms/1/entries", {"headers": EVERYTHING}),
    ("GET /api/rooms/{room_id}/entries", 401, "/api/rooms/1/entries", {}),
    ("GET /api/rooms/{room_id}/entries", 422, "/api/rooms/x/entries", {"headers": EVERYTHING}),
    ("GET /api/clubs/{club_id}/announcements", 200, "/api/clubs/1/announcements", {"headers": EVERYTHING}),
    ("GET /api/clubs/{club_id}/announcements", 401, "/api/clubs/1/announcements", {}),
    ("GET /api/clubs/{club_id}/announcements", 403, "/api/clubs/1/announcements", {"headers": bearer(1)}),
    ("GET /api/clubs/{club_id}/announcements", 422, "/api/clubs/x/announcements", {"headers": EVERYTHING}),
    (JOIN, 204, MEMBER, {"headers": EVERYTHING}),
    (JOIN, 401, MEMBER, {}),
    (JOIN, 403, MEMBER, {"headers": bearer(1)}),
    (JOIN, 422, "/api/clubs/1/members/x", {"headers": EVERYTHING}),
    (LEAVE, 204, MEMBER, {"headers": EVERYTHING}),
    (LEAVE, 401, MEMBER, {}),
    (LEAVE, 403, MEMBER, {"headers": bearer(1)}),
    (LEAVE, 422, "/api/clubs/1/members/x", {"headers": EVERYTHING}),
    (
        "POST /api/clubs/{club_id}/purchases",
        201,
        PURCHASES,
        {"headers": EVERYTHING, "json": {"what": "tea"}},
    ),
    (BUY, 401, PURCHASES, {"json": {"what": "tea"}}),
    (
        "POST /api/clubs/{club_id}/purchases",
        403,
        PURCHASES,
        {"headers": bearer(1), "json": {"what": "tea"}},
    ),
    (
        "POST /api/clubs/{club_id}/purchases",
        409,
        PURCHASES,
        {"headers": EVERYTHING, "json": {"what": "a yacht", "fails": True}},
    ),
    (
        "POST /api/clubs/{club_id}/purchases",
        413,
        PURCHASES,
        {"headers": EVERYTHING, "content": b" " * 65_537},
    ),
    (
        "POST /api/clubs/{club_id}/purchases",
        422,
        PURCHASES,
        {"headers": EVERYTHING, "json": {"what": ""}},
    ),
    ("POST /api/users/{user_id}/disconnect", 204, "/api/users/1000001/disconnect", {"headers": EVERYTHING}),
    ("POST /api/users/{user_id}/disconnect", 401, "/api/users/1000001/disconnect", {}),
    ("POST /api/users/{user_id}/disconnect", 403, "/api/users/1000001/disconnect", {"headers": bearer(1)}),
    ("POST /api/users/{user_id}/disconnect", 422, "/api/users/x/disconnect", {"headers": EVERYTHING}),
]
for operation, address in (HISTORIES | EVENTS | {PRESENCE: "/api/streams/rooms/1/presence"}).items():
    if operation not in EVENTS:
        EXAMPLES.append((operation, 200, address, {"headers": EVERYTHING}))
    if "rooms" not in operation:
        EXAMPLES.append((operation, 403, address, {"headers": bearer(1)}))
    EXAMPLES.append((operation, 401, address, {}))
    EXAMPLES.append((operation, 404, address.replace("/1", "/01"), {"headers": EVERYTHING}))
    unreadable = "/api/streams/rooms/x/presence" if operation == PRESENCE else f"{address}?after=x"
    EXAMPLES.append((operation, 422, unreadable, {"headers": EVERYTHING}))


@pytest.fixture(scope="module")
def service(shared_service: StartService) -> Service:
    return shared_service()


@pytest.fixture(scope="module")
def spec(service: Service) -> dict[str, Any]:
    document: dict[str, Any] = service.get("/openapi.json").json()
    return document


def documented(spec: dict[str, Any], operation: str) -> dict[str, Any]:
    method, path = operation.split()
    found: dict[str, Any] = spec["paths"][path][method.lower()]
    return found


def holds(spec: dict[str, Any], operation: str, answer: httpx.Response) -> None:
    """The answer's status is documented, and its body fits the schema."""
    responses = documented(spec, operation)["responses"]
    assert str(answer.status_code) in responses, answer.text
    content = responses[str(answer.status_code)].get("content", {})
    if not answer.content:
        assert not content
        return
    media_type = answer.headers["content-type"].partition(";")[0]
    assert media_type in content, media_type
    if media_type == "application/json":
        schema = content[media_type]["schema"]
        assert schema, "says nothing"
        Draft202012Validator(schema | {"components": spec["components"]}).validate(answer.json())


def test_the_document_lists_every_path_of_the_api_and_no_other(spec: dict[str, Any]) -> None:
    assert {f"{method.upper()} {path}" for path, methods in spec["paths"].items() for method in methods} == set(
        PROMISED
    )


@pytest.mark.parametrize("operation", PROMISED)
def test_every_answer_that_can_come_is_documented(spec: dict[str, Any], operation: str) -> None:
    assert set(documented(spec, operation)["responses"]) == PROMISED[operation]


@pytest.mark.parametrize("operation", WITH_TOKEN)
def test_a_documented_problem_has_the_form_of_a_problem(spec: dict[str, Any], operation: str) -> None:
    for status, response in documented(spec, operation)["responses"].items():
        if status >= "400":
            schema = response["content"]["application/json"]["schema"] | {"components": spec["components"]}
            assert Draft202012Validator(schema).is_valid(PROBLEM), status
            assert not Draft202012Validator(schema).is_valid({"detail": "any"}), status


@pytest.mark.parametrize("operation", WITH_TOKEN)
def test_what_needs_a_token_says_so(spec: dict[str, Any], operation: str) -> None:
    (requirement,) = documented(spec, operation)["security"]
    (scheme,) = requirement
    assert spec["components"]["securitySchemes"][scheme] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


@pytest.mark.parametrize(
    ("operation", "status", "address", "options"), EXAMPLES, ids=[f"{of} {status}" for of, status, *_ in EXAMPLES]
)
def test_an_answer_is_as_documented(
    service: Service, spec: dict[str, Any], operation: str, status: int, address: str, options: dict[str, Any]
) -> None:
    answer = http_request(operation.split(maxsplit=1)[0], service.http + address, **options)
    assert answer.status_code == status, answer.text
    holds(spec, operation, answer)


def test_the_examples_are_of_every_status_that_can_come() -> None:
    tried = {operation: {str(status) for of, status, *_ in EXAMPLES if of == operation} for operation in PROMISED}
    assert {operation: PROMISED[operation] - CANNOT_COME[operation] for operation in PROMISED} == tried


async def test_without_the_database_the_answers_are_as_documented_too(
    start_service: StartService, spec: dict[str, Any], postgres: Address
) -> None:
    service, server = start_service(), postgres.database("postgres")
    server.execute(f'alter database "{service.database.name}" allow_connections false')
    server.rows("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", service.database.name)
    async with http_client(service.http, timeout=10) as http:
        for operation, status, address, options in EXAMPLES:
            if 200 <= status < 300 and operation not in {"GET /healthz", "GET /metrics"}:
                answer = await http.request(operation.split(maxsplit=1)[0], address, **options)
                assert answer.status_code == 503, operation
                if operation != "GET /readyz":
                    assert answer.json()["code"] == "unavailable"
                holds(spec, operation, answer)


SOMEBODY = 9_000_001
TOKEN_FOR_OPERATIONS = f"""
[[operations]]
include-path = "/api/streams/letters/{{user_id}}"
headers = {{ Authorization = "Bearer ${{TOKEN}}" }}
parameters = {{ "path.user_id" = "{SOMEBODY}" }}

[[operations]]
include-path-regex = "^/api/"
headers = {{ Authorization = "Bearer ${{TOKEN}}" }}
"""
"""Not for all requests: Schemathesis would read the user out of it, and disconnect itself."""
UNTRUE_OF_USERS = "positive_data_acceptance"
"""Whether a user is a number or a text is a setting, and the document allows both."""


def test_whatever_schemathesis_sends_nothing_undocumented_comes(start_service: StartService, tmp_path: Path) -> None:
    service = start_service()
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(TOKEN_FOR_OPERATIONS)
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(configuration), "--no-color"]
    command += ["run", f"{service.http}/openapi.json", "--exclude-checks", UNTRUE_OF_USERS]
    command += ["--exclude-path-regex", "/events$"]  # whose answers have no end
    command += ["--phases", "coverage,fuzzing", "--generation-deterministic", "--max-examples", "30"]
    secret = token(SOMEBODY, scope="letters:write connections:write clubs:write", clubs=list(range(1000)))
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"TOKEN": secret, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    assert "No issues found" in result.stdout, result.stdout
    went_well = {
        (line["method"], line["path"].split("/")[2])
        for line in service.log_lines()
        if "/api/" in line.get("path", "") and line["status"] < 300
    }
    expected = {(method, path.split("/")[2]) for method, path in (operation.split() for operation in WITH_TOKEN)}
    assert expected <= went_well, "it came further than the door"
