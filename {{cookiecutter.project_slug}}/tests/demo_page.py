"""The demo page, as a test uses it: two users, each with comments and notifications."""

from playwright.sync_api import Locator, Page, expect

from tests.engine.kit.browser import PATIENCE
from tests.engine.kit.tokens import token


def address(*posts: int, users: tuple[int, int]) -> str:
    """Of the page, as `make run` prints it: with tokens of two users, who are on these posts."""
    tokens = [token(user, scope="notifications:write") for user in users]
    return "/#" + "&".join([*(f"post={post}" for post in posts), *(f"token={each}" for each in tokens)])


class User:
    """One of the two users of the page."""

    def __init__(self, page: Page, number: int) -> None:
        self.root: Locator = page.locator(".user").nth(number - 1)

    @property
    def comments(self) -> list[str]:
        return self.root.locator(".comments li").all_inner_texts()

    def write(self, body: str) -> None:
        self.root.get_by_label("Comment", exact=True).fill(body)
        self.root.get_by_role("button", name="Send", exact=True).click()

    def press(self, name: str) -> None:
        self.root.get_by_role("button", name=name, exact=True).click()

    @property
    def state(self) -> str | None:
        return self.root.get_attribute("data-state")

    @property
    def wire(self) -> str:
        return self.root.locator(".wire").text_content() or ""

    def wait_for_problem(self, text: str) -> None:
        self.root.get_by_role("alert").get_by_text(text).wait_for()

    def wait_for_frame(self, text: str) -> None:
        self.root.locator(".wire").get_by_text(text).first.wait_for()

    def use_token(self, value: str) -> None:
        self.press("Change the token")
        self.root.get_by_label("Token").fill(value)
        self.press("Use")

    def wait_for_state(self, name: str, within: float = 15) -> None:
        self.root.and_(self.root.page.locator(f"[data-state={name}]")).wait_for(timeout=within * 1000)

    def wait_for_people(self, text: str) -> None:
        """Wait for who is here, and who is typing."""
        expect(self.root.locator(".people")).to_have_text(text, timeout=PATIENCE)

    def wait_for_unconfirmed(self, count: int) -> None:
        expect(self.root.locator(".unconfirmed")).to_have_count(count, timeout=PATIENCE)

    def wait_for_comments(self, *expected: str) -> None:
        """Wait until the list is exactly this."""
        script = (
            "([node, texts]) => JSON.stringify([...node.children].map((i) => i.innerText)) === JSON.stringify(texts)"
        )
        handle = self.root.locator(".comments ol").element_handle()
        try:
            self.root.page.wait_for_function(script, arg=[handle, list(expected)])
        except Exception as late:
            raise AssertionError(f"{self.comments} is not {list(expected)}") from late
