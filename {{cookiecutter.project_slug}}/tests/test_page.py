"""What people see of the example, in a real browser: live comments that survive a restart, and notifications."""

import json
from collections.abc import Callable

import pytest
import websockets.sync.client
from playwright.sync_api import Page

from tests.demo_page import User, address
from tests.engine.kit.browser import Pages
from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.http_client import http_request
from tests.engine.kit.postgres import Address
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token
from tests.engine.kit.waiting import wait_until

pytestmark = pytest.mark.needs("chromium")


Demo = Callable[..., Page]


@pytest.fixture
def users(number: Number) -> tuple[int, int]:
    """Two users nobody knows yet."""
    return number(), number()


@pytest.fixture
def post(number: Number) -> int:
    """A post nobody has commented on."""
    return number()


@pytest.fixture
def demo(pages: Pages, users: tuple[int, int], post: int) -> Demo:
    """Opens the page as `make run` does, with users and a post that no other test has."""

    def opened(service: Service) -> Page:
        return pages.open(service, address(post, users=users))

    return opened


def test_two_tabs_see_each_others_comments(service: Service, demo: Demo, users: tuple[int, int]) -> None:
    one, two = users
    here, there = demo(service), demo(service)
    User(here, 1).write("from here")
    User(there, 2).wait_for_comments(f"User {one} from here")
    User(there, 2).write("from there")
    User(here, 1).wait_for_comments("You from here", f"User {two} from there")
    User(here, 2).wait_for_comments(f"User {one} from here", "You from there")


def test_nothing_is_lost_or_doubled_by_a_kill_and_a_restart(
    start_service: StartService, postgres: Address, demo: Demo, users: tuple[int, int]
) -> None:
    database = postgres.create_database()
    service = start_service(database=database)
    here, there = demo(service), demo(service)
    writer, reader, one = User(here, 1), User(there, 2), users[0]
    writer.write("before")
    reader.wait_for_comments(f"User {one} before")
    writer.wait_for_unconfirmed(0)
    service.discard()
    writer.wait_for_state("waiting")
    writer.write("while it was gone")
    writer.wait_for_comments("You before", "You while it was gone")
    writer.wait_for_unconfirmed(1)
    writer.press("Send a bad message")
    writer.wait_for_problem("There is no connection now.")
    countdown = writer.root.locator(".countdown")
    writer.root.page.wait_for_function("node => /\\d\\.\\d s/.test(node.textContent)", arg=countdown.element_handle())

    start_service(database=database, PORT=str(service.port))
    for page in (here, there):
        page.evaluate("document.querySelectorAll('[name=retry]').forEach((button) => button.click())")
    reader.wait_for_comments(f"User {one} before", f"User {one} while it was gone")
    writer.wait_for_comments("You before", "You while it was gone")
    writer.wait_for_unconfirmed(0)
    assert database.value("select count(*) from comments") == 2


def test_several_posts_are_followed_on_one_connection(
    service: Service, pages: Pages, users: tuple[int, int], number: Number
) -> None:
    posts = [number(), number()]
    both = address(*posts, users=users)
    here, there = User(pages.open(service, both), 1), User(pages.open(service, both), 2)
    here.write("on the first")
    here.wait_for_comments("You on the first")
    here.press(f"Post {posts[1]}")
    there.wait_for_comments(f"User {users[0]} on the first")
    here.write("on the second")
    here.wait_for_comments("You on the second")
    there.press(f"Post {posts[1]}: 1 new")
    there.wait_for_comments(f"User {users[0]} on the second")
    for user in (here, there):
        assert user.wire.count('"type":"subscribed"') == 2
    here.press(f"Post {posts[0]}")
    here.wait_for_comments("You on the first")


def test_who_is_here_and_who_is_typing_is_shown(service: Service, demo: Demo, users: tuple[int, int]) -> None:
    page, (one, two) = demo(service), users
    first, second = User(page, 1), User(page, 2)
    first.wait_for_people(f"Here: You, User {two}")
    second.wait_for_people(f"Here: You, User {one}")
    first.root.get_by_label("Comment", exact=True).press_sequentially("Hello")
    second.wait_for_people(f"Here: You, User {one} User {one} is typing…")
    assert first.wire.count('"type":"signal"') < len("Hello"), "a signal for a few letters"
    first.wait_for_people(f"Here: You, User {two}")
    first.press("Send")
    second.wait_for_comments(f"User {one} Hello")
    second.wait_for_people(f"Here: You, User {one}")
    second.root.get_by_label("Comment", exact=True).press_sequentially("Never mind")
    first.wait_for_people(f"Here: You, User {two} User {two} is typing…")
    first.wait_for_people(f"Here: You, User {two}")
    page.get_by_label("Let no WebSocket through").check()
    first.wait_for_people("")


def test_where_no_socket_gets_through_it_goes_on_by_server_sent_events(
    service: Service, demo: Demo, users: tuple[int, int]
) -> None:
    page, (one, two) = demo(service), users
    first, second = User(page, 1), User(page, 2)
    first.write("by socket")
    second.wait_for_comments(f"User {one} by socket")
    page.get_by_label("Let no WebSocket through").check()
    first.write("meanwhile")
    for user in (first, second):
        user.root.get_by_text("by server-sent events").wait_for()
        user.wait_for_state("live")
    second.write("by HTTP")
    first.wait_for_comments("You by socket", "You meanwhile", f"User {two} by HTTP")
    first.wait_for_unconfirmed(0)
    page.get_by_label("Let no WebSocket through").uncheck()
    for user in (first, second):
        while user.root.get_by_text("by server-sent events").is_visible():
            page.evaluate("document.querySelectorAll('[name=retry]').forEach((button) => button.click())")
            page.wait_for_timeout(50)
    first.write("by socket again")
    second.wait_for_comments(
        f"User {one} by socket", f"User {one} meanwhile", "You by HTTP", f"User {one} by socket again"
    )


HOSTILE = [
    "<script>document.title = 'hacked'</script>",
    "<img src=x onerror=\"document.title = 'hacked'\">",
    "</li></ol><iframe srcdoc=\"<script>parent.document.title = 'hacked'</script>\"></iframe>",
    "<a href=\"javascript:document.title = 'hacked'\">&lt;here&gt;</a> ${7*7}",
    "\u202eback\u202c \x1b[31m \x07 \ufeff \u2028 end",
]


def test_hostile_texts_are_shown_as_texts(start_service: StartService, pages: Pages) -> None:
    service = start_service(JWT_SUBJECT_TYPE="string")
    reader, attacker = (token(name, scope="notifications:write") for name in ("reader", HOSTILE[1]))
    page = pages.open(service, f"/#token={reader}&token={attacker}")
    User(page, 1).wait_for_state("live")
    headers = {"Authorization": f"Bearer {attacker}"}
    with websockets.sync.client.connect(
        f"{service.ws}/ws/live-comments/1", additional_headers=headers, proxy=None
    ) as socket:
        for text in HOSTILE:
            socket.send(json.dumps({"type": "new_comment", "body": text}))
            assert json.loads(socket.recv())["type"] == "comment_created"
    for data in [*({"text": text} for text in HOSTILE), {HOSTILE[0]: HOSTILE[1]}]:
        body = {"user_id": "reader", "data": data}
        answer = http_request("POST", f"{service.http}/api/notifications", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
    unnamed = json.dumps({HOSTILE[0]: HOSTILE[1]}, separators=(",", ":"))
    for listed, expected in {
        ".comments li": [f"User {HOSTILE[1]} {text}" for text in HOSTILE],
        ".notifications li": [f"{text} Read" for text in (unnamed, *reversed(HOSTILE))],
    }.items():
        items = User(page, 1).root.locator(listed)
        items.nth(len(expected) - 1).wait_for()
        assert items.all_text_contents() == expected
    assert page.locator("iframe, img, a[href^=javascript], .user script").count() == 0
    assert "hacked" not in page.title()


def test_a_bad_message_shows_its_error_and_the_connection_goes_on(service: Service, demo: Demo) -> None:
    user = User(demo(service), 1)
    user.wait_for_state("live")
    user.press("Send a bad message")
    user.wait_for_problem("invalid_message: body: Field required")
    assert user.state == "live"
    assert '{"type":"new_comment","text":"no body"' in user.wire
    for _ in range(9):
        user.press("Send a bad message")
    user.wait_for_state("closed")
    assert user.root.get_by_role("status").inner_text() == "Closed (too many bad messages in a row)"
    user.press("Try now")
    user.wait_for_state("live")


def test_a_notification_reaches_the_other_user_and_stays_until_it_is_read(
    service: Service, demo: Demo, users: tuple[int, int]
) -> None:
    page = demo(service)
    for notified in (1, 2):
        User(page, 1).press("Notify the other")
        notices = User(page, 2).root.get_by_role("listitem").filter(has_text=f"User {users[0]} says hello.")
        notices.nth(notified - 1).wait_for()
    page.reload()
    notices.nth(1).wait_for()
    User(page, 2).wait_for_state("live")
    notices.first.get_by_role("button", name="Read").press("Enter")
    notices.first.wait_for(state="detached")
    assert notices.count() == 0, "all up to the last"
    assert page.evaluate("document.activeElement.textContent") == "Notifications", "the focus does not get lost"
    User(page, 2).write("after")
    User(page, 2).wait_for_comments("You after")
    query = "select count(read_at) from notifications where user_id = %s"
    wait_until(lambda: service.database.value(query, str(users[1])) == 2, "both are stored as read")


def test_a_long_history_is_shown_in_order_and_left_alone_while_it_is_read(
    service: Service, demo: Demo, post: int, users: tuple[int, int]
) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('comments/{post}', 2500)")
    service.database.execute(
        "insert into comments (post_id, seq, author_id, body, created_at)"
        f" select {post}, n, '{users[1]}', 'comment ' || n, now() from generate_series(1, 2500) n"
    )
    page = demo(service)
    reader = User(page, 1)
    reader.wait_for_state("live")
    assert reader.comments == [f"User {users[1]} comment {number}" for number in range(1, 2501)]
    log = reader.root.get_by_role("log", name="Comments").element_handle()
    at_end = "log => log.scrollTop + log.clientHeight > log.scrollHeight - 20"
    page.wait_for_function(at_end, arg=log)
    reader.root.get_by_role("log", name="Comments").press("Home")
    page.wait_for_function("log => log.scrollTop === 0", arg=log)
    User(page, 2).write("new")
    reader.root.get_by_text(f"User {users[1]} new", exact=True).wait_for(state="attached")
    page.wait_for_timeout(100)
    assert page.evaluate("log => log.scrollTop", log) == 0
