"""The page on a phone, by keyboard, read out, and with tokens that are missing, expire and are renewed."""

import pytest
from playwright.sync_api import Page

from tests.demo_page import User, address
from tests.engine.kit.browser import Pages
from tests.engine.kit.fixture_types import Number
from tests.engine.kit.javascript import npm_package
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

AXE = "axe-core@4.14.1"
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="

pytestmark = pytest.mark.needs("chromium")


@pytest.fixture
def page(service: Service, pages: Pages, number: Number) -> Page:
    """With two users, and a post that no other test has."""
    return pages.open(service, address(number(), users=(number(), number())))


def test_a_newer_token_renews_a_connection_and_an_expired_one_is_asked_for(page: Page, number: Number) -> None:
    one, two = number(), number()
    renewed, expired = User(page, 1), User(page, 2)
    renewed.wait_for_state("live")
    renewed.use_token(token(one, ttl=10))
    renewed.wait_for_state("live")
    subscriptions = renewed.wire.count('"subscribed"')
    renewed.use_token(token(one))
    expired.use_token(token(two, ttl=7))
    renewed.wait_for_frame("authenticated")
    expired.wait_for_state("closed")
    assert expired.root.get_by_role("status").inner_text() == "Closed (token expired)"
    renewed.write("still here")
    renewed.wait_for_comments("You still here")
    assert renewed.wire.count('"subscribed"') == subscriptions, "it is the same connection"
    assert "eyJ" not in renewed.wire.replace("eyJ…", "")
    expired.use_token(token(two))
    expired.wait_for_state("live")


def test_it_works_with_the_keyboard_alone(page: Page) -> None:
    User(page, 1).wait_for_state("live")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "body":
            break
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    User(page, 1).wait_for_comments("You typed")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where one is"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    User(page, 1).wait_for_problem("invalid_message")


def test_it_fits_a_phone_and_a_tablet(page: Page) -> None:
    User(page, 1).write("a-very-long-word-" * 20)
    page.locator(".comments li").last.wait_for()
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_both_users_at_once(service: Service, pages: Pages, number: Number) -> None:
    page = pages.open(service, address(number(), number(), users=(number(), number())))
    User(page, 2).wait_for_state("live")
    page.set_viewport_size({"width": 390, "height": 664})  # what a browser leaves of 844
    page.wait_for_function("![...document.querySelectorAll('.more')].some((more) => more.open)")
    for each in (User(page, 1), User(page, 2)):
        each.root.get_by_role("button", name="Send", exact=True).wait_for()
        field = each.root.get_by_label("Comment", exact=True).bounding_box()
        assert field
        assert field["y"] + field["height"] <= 664
    assert not User(page, 1).root.get_by_label("Notifications").is_visible()
    User(page, 1).root.get_by_text("More", exact=True).click()
    User(page, 1).root.get_by_label("Notifications").wait_for()
    page.set_viewport_size({"width": 1280, "height": 720})
    User(page, 2).root.get_by_label("Notifications").wait_for()


@pytest.mark.needs("npm")
def test_nothing_stands_in_the_way_of_a_screen_reader_in_light_or_dark(
    page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axe = (npm_package(AXE, AXE_INTEGRITY, tmp_path_factory.getbasetemp()) / "axe.min.js").read_text()
    User(page, 1).wait_for_state("live")
    User(page, 1).press("Send a bad message")
    User(page, 1).wait_for_problem("invalid_message")
    User(page, 2).press("Change the token")
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []


def test_without_a_token_it_says_how_to_get_one(service: Service, pages: Pages) -> None:
    page = pages.open(service)
    assert "python -m service token --user 2" in User(page, 2).root.inner_text()
    assert not User(page, 2).root.get_by_role("button", name="Send", exact=True).is_visible()
    User(page, 2).root.get_by_label("Token").fill("nonsense")
    User(page, 2).press("Use")
    User(page, 2).wait_for_problem("That is not a token.")
    User(page, 2).root.get_by_label("Token").fill(token(2))
    User(page, 2).press("Use")
    User(page, 2).wait_for_state("live")
    User(page, 2).press("Notify the other")
    User(page, 2).wait_for_problem("has no token yet")
