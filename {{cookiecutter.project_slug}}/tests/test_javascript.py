"""The helpers of `service/web/comments.js`, in Node, against the real service."""

import json
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kit.commands import PROJECT
from tests.engine.kit.fixture_types import Number
from tests.engine.kit.javascript import NODE, for_node, npm_package, run_node
from tests.engine.kit.javascript_client import CLIENT, started
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

COMMENTS = PROJECT / "service" / "web" / "comments.js"
TYPESCRIPT = "typescript@5.9.3"
INTEGRITY = "sha512-jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw=="
OPTIONS = "--noEmit --strict --skipLibCheck --target es2022 --module esnext --lib es2023,dom,dom.iterable"
OPTIONS += " --allowJs --checkJs --moduleResolution bundler"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """The file, and the client that it builds on, as Node finds them."""
    return for_node(tmp_path, CLIENT, COMMENTS)[1]


async def test_comments_are_delivered_seen_by_others_and_fetched_after_a_long_absence(
    service: Service, module: Path, number: Number
) -> None:
    post = number()
    service.database.execute(f"insert into streams (name, last_seq) values ('comments/{post}', 1200)")
    service.database.execute(
        "insert into comments (post_id, seq, author_id, body, created_at)"
        f" select {post}, n, '7', 'comment ' || n, now() from generate_series(1, 1200) n"
    )
    options: dict[str, Any] = {"kind": "liveComments", "origin": service.http, "post": post, "after": 0}
    async with AsyncExitStack() as stack:
        writer, reader = [
            await stack.enter_async_context(started(module, token=token(number()), **options)) for _ in range(2)
        ]
        assert (await writer.deliver({"type": "new_comment", "body": "now"}))["seq"] == 1201
        seen = await reader.messages(1201)
        assert [(message["type"], message["seq"]) for message in seen] == [("comment", n) for n in range(1, 1202)]
        assert seen[-1]["body"] == "now"


async def test_notifications_are_fetched_after_a_long_absence(service: Service, module: Path, user: int) -> None:
    service.database.execute(f"insert into streams (name, last_seq) values ('notifications/{user}', 1200)")
    service.database.execute(
        "insert into notifications (user_id, seq, data, created_at)"
        f" select '{user}', n, '{{}}', now() from generate_series(1, 1200) n"
    )
    async with started(module, kind="notifications", origin=service.http, token=token(user), after=0) as client:
        seen = await client.messages(1200)
    assert [(message["type"], message["seq"]) for message in seen] == [("notification", n) for n in range(1, 1201)]


def test_outside_a_page_they_ask_where_the_service_is(module: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.mjs"
    script.write_text(f"""
import {{ liveComments, notifications }} from {json.dumps(module.as_uri())};
const answers = [];
for (const client of [liveComments, notifications]) try {{ client({{ post: 1 }}) }} catch (error) {{
  answers.push(error.message.includes("origin"));
}}
console.log(JSON.stringify(answers));
""")
    assert run_node(script) == [True, True]


@pytest.mark.needs("npm")
def test_their_types_hold(module: Path, tmp_path: Path) -> None:
    compiler = npm_package(TYPESCRIPT, INTEGRITY, tmp_path) / "lib" / "tsc.js"
    command = [str(NODE), str(compiler), *OPTIONS.split(), str(module)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (result.returncode, result.stdout) == (0, "")
