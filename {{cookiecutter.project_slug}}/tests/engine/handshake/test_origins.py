"""From which pages a browser may connect (the defence against cross-site WebSocket hijacking)."""

import pytest

from tests.engine.kit.client import connected, refused
from tests.engine.kit.running import Service

PATHS = ["/ws/letters", "/ws/rooms/1"]
DEMO_PATHS = ["/ws/echo", "/ws/json"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.org",
        "https://a.example.com",
        "http://localhost:3000",
        "https://APP.example.org",
        None,
        "https://app.example.org:443",
        "https://a.example.com:443",
    ],
)
async def test_a_listed_origin_may_connect(strict: Service, user: int, origin: str | None) -> None:
    for path in PATHS:
        async with connected(strict.ws, path, user=user, origin=origin) as client:
            await client.lives()


@pytest.mark.parametrize(
    "origin",
    [
        "https://elsewhere.example",
        "http://app.example.org",
        "https://app.example.org:8443",
        "https://app.example.org:80",
        "https://app.example.org:443:443",
        "https://app.example.org.evil.example",
        "https://evil-example.com",
        "https://evilexample.com",
        "https://example.com.evil.example",
        "https://a.example.com.evil.example",
        "https://evil.example/.example.com",
        "https://evil.example#.example.com",
        "https://evil.example?.example.com",
        "https://evil.example:443@x.example.com",
        "http://a.example.com",
        "https://.example.com",
        "http://localhost:3001",
        "http://localhost",
        "null",
        "nonsense",
        "*",
    ],
)
async def test_any_other_origin_is_refused(strict: Service, origin: str) -> None:
    for path in PATHS:
        refusal = await refused(strict.ws, path, user=1, origin=origin)
        assert refusal.reason == (403, "forbidden_origin", 1008)


async def test_without_a_list_the_services_own_pages_may_connect(service: Service) -> None:
    for path in [*PATHS, *DEMO_PATHS]:
        async with connected(service.ws, path, user=1, origin=service.http):
            pass


async def test_without_a_list_other_pages_may_not(service: Service) -> None:
    for origin in ("https://elsewhere.example", "http://127.0.0.1:1", "http://127.0.0.1", "null"):
        for path in [*PATHS, *DEMO_PATHS]:
            refusal = await refused(service.ws, path, user=1, origin=origin)
            assert refusal.reason == (403, "forbidden_origin", 1008)
