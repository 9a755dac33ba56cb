"""What people see, in a real browser: the page of the endpoints, and the pages of the documents."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from tests.engine.kit.commands import SECRET_KEY
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.javascript import npm_package
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.engine.kit.browser import Pages

AXE = "axe-core@4.14.1"
AXE_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
LABELS = "tables => tables.map((table) => table.ariaLabel)"
UNFOLD = "document.querySelectorAll('details').forEach((part) => { part.open = true; })"

pytestmark = pytest.mark.needs("chromium")


class Console:
    """The part of the page where an endpoint can be tried."""

    def __init__(self, page: "Page") -> None:
        self.root = page.locator(".console")
        page.wait_for_function("() => document.querySelector('[name=path]').value")  # it listens from then on

    @property
    def wire(self) -> str:
        return self.root.locator(".wire").text_content() or ""

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    def open(self, path: str) -> None:
        self.root.get_by_label("Path").fill(path)
        self.press("Open")

    def send(self, frame: str) -> None:
        self.root.get_by_label("Frame", exact=True).fill(frame)
        self.press("Send")

    def wait_for_state(self, name: str) -> None:
        self.root.and_(self.root.page.locator(f"[data-state={name}]")).wait_for()

    def wait_for_frame(self, text: str) -> None:
        self.root.locator(".wire").get_by_text(text).first.wait_for()


def with_tokens(*users: int) -> str:
    """The page as `make run` opens it."""
    return f"/#{'&'.join(f'token={token(user)}' for user in users)}"


def test_the_page_of_a_service_without_one_lists_every_endpoint(service: Service, pages: "Pages") -> None:
    page = pages.open(service)
    page.locator("#requests + ul li").first.wait_for()
    sockets = page.locator("#sockets + ul h3").all_inner_texts()
    addresses = [channel["address"] for channel in service.asyncapi["channels"].values()]
    assert sockets == [address for address in addresses if address.startswith("/")]
    paths = service.get("/openapi.json").json()["paths"]
    expected = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert page.locator("#requests + ul h3").all_inner_texts() == expected


def test_an_endpoint_can_be_tried_with_the_tokens_that_the_address_brings(
    service: Service, pages: "Pages", room: int, number: Callable[[], int]
) -> None:
    path, users = f"/ws/rooms/{room}", (number(), number())
    here, there = [Console(pages.open(service, with_tokens(*users))) for _ in range(2)]
    here.open(path)
    there.root.locator("[name=choice]").select_option(label=f"of user {users[1]}")
    there.open(path)
    for console in (here, there):
        console.wait_for_state("live")
    here.press("new_entry")
    here.press("Send")
    here.wait_for_frame("entry_created")
    there.wait_for_frame(f'"author_id":{users[0]}')
    here.send("nonsense")
    here.wait_for_frame("invalid_json")
    here.press("Close")
    here.wait_for_state("ended")
    assert "eyJ" not in here.wire.replace("eyJ…", "")


def test_an_endpoint_that_lets_nobody_in_says_so(service: Service, pages: "Pages") -> None:
    console = Console(pages.open(service, with_tokens(1)))
    console.open("/ws/clubs/1")
    console.wait_for_state("closed")
    assert "not let in" in console.root.get_by_role("status").inner_text()


def test_without_a_token_it_says_how_to_get_one(service: Service, pages: "Pages") -> None:
    console = Console(pages.open(service))
    console.root.get_by_text("python -m service token --user 1").wait_for()
    console.root.get_by_label("The token").fill(token(2))
    console.open("/ws/letters")
    console.wait_for_state("live")
    console.send('{"type":"ping"}')
    console.wait_for_frame('{"type":"pong"}')


def test_a_token_that_does_not_count_is_said_to_be_so(service: Service, pages: "Pages") -> None:
    pages.forgive("status of 401")
    console = Console(pages.open(service))
    console.root.get_by_label("The token").fill(token(2, ttl=-1))
    console.open("/ws/letters")
    console.root.get_by_role("alert").get_by_text("expired_token").wait_for()


def test_hostile_texts_are_shown_as_texts(service: Service, pages: "Pages", room: int) -> None:
    console = Console(pages.open(service, with_tokens(1)))
    console.open(f"/ws/rooms/{room}")
    console.wait_for_state("live")
    hostile = "<img src=x onerror=\"document.title = 'hacked'\"><script>document.title = 'hacked'</script>"
    console.send(json.dumps({"type": hostile}))
    console.wait_for_frame("invalid_message")
    assert hostile in console.wire.replace('\\"', '"')
    assert console.root.locator("img, script").count() == 0
    assert "hacked" not in console.root.page.title()


def test_it_works_with_the_keyboard_alone(service: Service, pages: "Pages") -> None:
    page = pages.open(service, with_tokens(1))
    console = Console(page)
    page.locator("#requests + ul li").first.wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "path":
            break
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("/ws/letters")
    page.keyboard.press("Enter")
    console.wait_for_state("live")
    assert page.evaluate("document.activeElement.name") == "frame", "one may go on"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "one sees where one is"
    page.keyboard.type('{"type":"ping"}')
    page.keyboard.press("Enter")
    console.wait_for_frame('{"type":"pong"}')


@pytest.mark.parametrize("path", ["/", "/asyncapi"])
def test_it_fits_a_phone_and_a_tablet(service: Service, pages: "Pages", path: str) -> None:
    page = pages.open(service, path)
    page.locator("section li, section details").first.wait_for()
    page.evaluate(UNFOLD)
    for width in (320, 390, 768):
        page.set_viewport_size({"width": width, "height": 700})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.needs("npm")
@pytest.mark.parametrize("path", ["/", "/asyncapi"])
def test_nothing_stands_in_the_way_of_a_screen_reader_in_light_or_dark(
    service: Service, pages: "Pages", tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    axe = (npm_package(AXE, AXE_INTEGRITY, tmp_path_factory.getbasetemp()) / "axe.min.js").read_text()
    page = pages.open(service, path)
    page.locator("section li, section details").first.wait_for()
    page.evaluate(UNFOLD)
    if path == "/":
        console = Console(page)
        console.open("/ws/echo")
        console.wait_for_state("live")
        console.send("hello")
        console.wait_for_frame("Echo: hello")
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate("() => axe.run({ resultTypes: ['violations'] })")
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []


@pytest.mark.parametrize("path", ["/", "/asyncapi", "/docs"])
def test_dark_mode_is_dark(service: Service, pages: "Pages", path: str) -> None:
    page = pages.open(service, path)

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            """(scheme) => {
              const color = getComputedStyle(document.documentElement).backgroundColor;
              const [red, green, blue, alpha] = color.match(/\\d+/g);
              const brightness = alpha === "0" ? 765 : Number(red) + Number(green) + Number(blue);
              return scheme === "dark" ? brightness < 150 : brightness > 600;
            }""",
            arg=scheme,
        )


def test_make_run_prints_an_address_that_brings_its_tokens(start_service: StartService, pages: "Pages") -> None:
    service = start_service(ENVIRONMENT="development", SECRET_KEY=SECRET_KEY)
    found = re.search(r"Page +(http://localhost:\d+)(/#\S+)", service.log())
    assert found
    page = pages.open(service, found[2])
    Console(page).open("/ws/letters")
    Console(page).wait_for_state("live")
    assert "#" not in page.url, "the tokens do not stay in the address"
    page.reload()
    Console(page).open("/ws/letters")
    Console(page).wait_for_state("live")


def test_make_run_prints_a_line_that_connects(start_service: StartService) -> None:
    service = start_service(ENVIRONMENT="development", SECRET_KEY=SECRET_KEY)
    assert f"ws://localhost:{service.port}/ws/rooms/1?token=eyJ" in service.log()


OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
STRANGERS: dict[str, dict[str, str]] = {
    "another page": {"Sec-Fetch-Site": "cross-site"},
    "no page": {"Sec-Fetch-Site": "none"},
    "no browser": {},
    "through a proxy": OWN_PAGE | {"X-Forwarded-For": "127.0.0.1"},
    "through another proxy": OWN_PAGE | {"Forwarded": "for=127.0.0.1"},
    "a name that leads here": OWN_PAGE | {"Host": "rebound.example.com"},
}


def test_a_developers_browser_gets_its_tokens_and_nobody_else_does(start_service: StartService, pages: "Pages") -> None:
    service = start_service(ENVIRONMENT="development", SECRET_KEY="")
    page = pages.open(service)
    Console(page).open("/ws/letters")
    Console(page).wait_for_state("live")
    assert len(service.get("/demo-tokens", headers=OWN_PAGE).json()) == 2
    for stranger in STRANGERS.values():
        assert service.get("/demo-tokens", headers=stranger).json() == []


@pytest.mark.parametrize("environment", ["development", "production"])
def test_with_a_key_that_somebody_chose_nobody_gets_tokens(shared_service: StartService, environment: str) -> None:
    assert shared_service(ENVIRONMENT=environment).get("/demo-tokens", headers=OWN_PAGE).json() == []


def test_the_page_of_the_http_endpoints_works_without_the_internet(service: Service, pages: "Pages") -> None:
    page = pages.open(service, "/docs")
    page.get_by_role("button", name="GET /healthz").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    page.get_by_text('"status": "ok"').first.wait_for()


def test_the_page_of_the_websocket_endpoints_shows_every_message(service: Service, pages: "Pages") -> None:
    page = pages.open(service, "/asyncapi")
    rooms = page.get_by_role("region", name="Rooms", exact=True)
    rooms.wait_for()
    for name in ("new_entry", "entry_created", "entry", "history_gap", "reconnect"):
        assert rooms.locator("summary code").get_by_text(name, exact=True).first.is_visible()
    rooms.locator("summary").filter(has_text="entry_created").click()
    assert rooms.get_by_role("table", name="Fields of EntryCreated").get_by_text("client_id").is_visible()
    example = '{"type":"entry_created","entry_id":1,"seq":1,"client_id":"…"}'
    assert rooms.get_by_text(example, exact=True).is_visible()


def test_every_example_on_the_page_of_the_websocket_endpoints_fits_its_schema(service: Service, pages: "Pages") -> None:
    page = pages.open(service, "/asyncapi")
    page.locator("section").first.wait_for()
    shown = page.locator("details:has(pre)")
    examples = [json.loads(text) for text in shown.locator("pre").all_text_contents()]
    names = [table.removeprefix("Fields of ") for table in page.locator("details table").evaluate_all(LABELS)]
    assert len(names) == len(examples) > 20
    for name, example in zip(names, examples, strict=True):
        schemas = service.asyncapi["components"]
        Draft202012Validator(schemas["schemas"][name] | {"components": schemas}).validate(example)
