"""Which pages are served where, and under which policy."""

import pytest

from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.running import Service

DOCUMENTS = ["/docs", "/openapi.json", "/asyncapi", "/asyncapi.json", "/client.js"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_documents_are_there_in_production(strict: Service, path: str) -> None:
    assert strict.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/endpoints.js"])
def test_the_demo_page_is_off_in_production(strict: Service, service: Service, path: str) -> None:
    off = strict.get(path)
    assert (off.status_code, off.json()["code"]) == (404, "not_found")
    assert service.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/asyncapi"])
def test_the_policy_of_each_page_lets_nothing_in_from_outside(service: Service, path: str) -> None:
    answer = service.get(path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert {source for sources in policy.values() for source in sources.split()} <= {"'self'", "'none'", "data:"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "http://" not in answer.text
    assert "https://" not in answer.text


def test_an_unchanged_file_is_not_sent_again(service: Service) -> None:
    first = service.get("/client.js")
    assert first.headers["cache-control"] == "no-cache"
    assert service.get("/client.js", headers={"If-None-Match": first.headers["etag"]}).status_code in {200, 304}


def test_a_secret_never_stands_in_the_page(start_service: StartService) -> None:
    service = start_service(ENVIRONMENT="development")
    assert "eyJ" not in service.get("/").text + service.get("/endpoints.js").text.replace("eyJ…", "").replace(
        "eyJ[", ""
    )
