"""Which pages of other sites may ask and read: those of the origins that may connect, and no others."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from service.engine.foundation.settings import Settings
from tests.engine.http.wire import answer_to, handshake, request
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.http_client import http_request
from tests.engine.kit.running import HOST, Service
from tests.engine.kit.tokens import bearer

EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
LISTED = f"https://app.example.org, https://*.example.com, capacitor://localhost, {EXTENSION}, http://localhost:3000"
ALLOWED = [
    "https://app.example.org",
    "https://a.example.com",
    "https://a.b.example.com",
    "capacitor://localhost",
    EXTENSION,
    "http://localhost:3000",
]
FOREIGN = [
    "https://evil.example",
    "http://app.example.org",
    "https://app.example.org.evil.example",
    "https://app.example.org:8443",
    "https://example.com",
    "https://evil-example.com",
    "https://evil.example/.example.com",
    "capacitor://evil",
    "ionic://localhost",
    EXTENSION[:-1] + "a",
    "http://localhost:3001",
    "null",
    "NULL",
    "",
    "*",
    "wss://app.example.org",
]
READABLE = ["/client.js", "/healthz", "/api/letters", "/nothing"]
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def of_cors(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.fixture(scope="module")
def listing(shared_service: StartService) -> Service:
    """A service that lets pages of some origins in."""
    return shared_service(ALLOWED_ORIGINS=LISTED)


def ask(service: Service, method: str, path: str, origin: str | None, **headers: str) -> httpx.Response:
    given = headers | ({} if origin is None else {"Origin": origin})
    return http_request(method, service.http + path, headers=given)


@pytest.mark.parametrize("path", READABLE)
@pytest.mark.parametrize("origin", ALLOWED)
def test_a_page_of_a_listed_origin_may_read_every_answer(listing: Service, origin: str, path: str) -> None:
    answer = ask(listing, "GET", path, origin)
    assert of_cors(answer) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "Retry-After, *",
    }, "without credentials"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("path", READABLE)
@pytest.mark.parametrize("origin", [*FOREIGN, None])
def test_a_page_of_any_other_may_not(listing: Service, origin: str | None, path: str) -> None:
    answer = ask(listing, "GET", path, origin)
    assert of_cors(answer) == {}
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["vary"] == "Origin", "or a cache would give this to a page that may"


@pytest.mark.parametrize("origin", ALLOWED)
def test_a_preflight_is_allowed_and_remembered(listing: Service, origin: str) -> None:
    answer = ask(listing, "OPTIONS", "/api/tickets", origin, **PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    found = of_cors(answer)
    assert found["access-control-allow-origin"] == origin
    assert "access-control-allow-credentials" not in found
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(found["access-control-allow-methods"].split(", "))
    assert {"Authorization", "Content-Type", "*"} <= set(found["access-control-allow-headers"].split(", "))
    assert int(found["access-control-max-age"]) >= 600
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", FOREIGN)
def test_the_preflight_of_any_other_is_not(listing: Service, origin: str) -> None:
    answer = ask(listing, "OPTIONS", "/api/tickets", origin, **PREFLIGHT)
    assert (answer.status_code, of_cors(answer)) == (405, {})


def test_options_that_are_no_preflight_are_what_they_were(listing: Service) -> None:
    answer = ask(listing, "OPTIONS", "/api/tickets", ALLOWED[0])
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert of_cors(answer)["access-control-allow-origin"] == ALLOWED[0]


@pytest.mark.parametrize(
    ("status", "method", "path", "options"),
    [
        (401, "GET", "/api/letters", {}),
        (403, "POST", "/api/letters", {"headers": bearer(1), "json": {"user_id": 1, "data": {}}}),
        (404, "GET", "/nothing", {}),
        (404, "GET", "/docs%0A", {}),
        (405, "DELETE", "/healthz", {}),
        (413, "POST", "/api/letters", {"headers": bearer(1, scope="letters:write"), "content": b"x" * 70_000}),
        (422, "GET", "/api/letters?after=x", {"headers": bearer(1)}),
        (426, "GET", "/ws/letters", {}),
        (500, "GET", "/api/bug", {}),
    ],
)
def test_a_page_may_read_why_it_is_refused(
    listing: Service, status: int, method: str, path: str, options: dict[str, Any]
) -> None:
    headers = options.get("headers", {}) | {"Origin": ALLOWED[0]}
    answer = http_request(method, listing.http + path, **options | {"headers": headers})
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == ALLOWED[0]
    assert answer.headers["vary"] == "Origin"
    assert answer.json()["code"]


def test_a_page_may_read_the_head_alone(listing: Service) -> None:
    assert ask(listing, "HEAD", "/client.js", ALLOWED[0]).headers["access-control-allow-origin"] == ALLOWED[0]


async def test_of_two_origins_none_counts(listing: Service) -> None:
    two = [f"Origin: {origin}" for origin in ALLOWED[:2]]
    answer = await answer_to(listing, request("GET", "/healthz", *two))
    assert (answer.status, answer.all("access-control-allow-origin")) == (200, [])


async def test_the_same_origins_may_connect(listing: Service) -> None:
    for origin in ALLOWED:
        assert (await answer_to(listing, handshake(Origin=origin))).status == 101
    for origin in FOREIGN:
        assert (await answer_to(listing, handshake(Origin=origin))).problem == (403, "forbidden_origin")


@pytest.mark.parametrize("origin", [*ALLOWED, *FOREIGN, f"http://{HOST}", None])
def test_without_a_list_nothing_is_said_of_origins(service: Service, origin: str | None) -> None:
    answers = [ask(service, "GET", path, origin) for path in READABLE]
    answers += [ask(service, "OPTIONS", "/api/tickets", origin, **PREFLIGHT)]
    for answer in answers:
        assert of_cors(answer) == {}
        assert "vary" not in answer.headers
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answers[-1].status_code == 405


# The setting


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("HTTPS://App.Example.Org:443", "https://app.example.org"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://*.example.com:8443", "https://*.example.com:8443"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("app://-", "app://-"),
        (EXTENSION, EXTENSION),
        (
            "moz-extension://8f6f9f3e-7c1c-4f1e-9a58-0123456789AB",
            "moz-extension://8f6f9f3e-7c1c-4f1e-9a58-0123456789ab",
        ),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(given: str, meant: str) -> None:
    assert Settings(allowed_origins=given).allowed_origins == (meant,)


@pytest.mark.parametrize(
    "given",
    [
        "*",
        "null",
        "example.com",
        "https://",
        "https://*",
        "https://*.",
        "https://a.*.example.com",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?a",
        "https://example.com#a",
        "https://user@example.com",
        "https://example.com:port",
        "https://example.com:65536",
        "https://bücher.example",
        "capacitor://*",
        "chrome-extension://*.a",
        "wss://example.com",
        "file://",
        "file://x",
        "https://a.example b.example",
        "https://a.example;https://b.example",
    ],
)
def test_what_is_no_origin_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        Settings(allowed_origins=f"https://good.example, {given}")
