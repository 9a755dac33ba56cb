"""The hook in a real React, against a real service."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.kit.commands import PROJECT
from tests.engine.kit.fixture_types import Number
from tests.engine.kit.javascript import for_node, npm_package, run_node
from tests.engine.kit.javascript_client import CLIENT
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import bearer, token

PACKAGES = {
    ("react", "19.3.1"): "QNhWdt7nrgVWWQG58QuGsAR3jv3Hbe4mb4vz7w2csnHavciZJgda1CPNaldF6eVxv90ud3jUXpKlHL69gO38yw==",
    ("react-is", "19.3.1"): "RRieF6IyxQBkcK6pP8xOHprLTPW6QjRkbGdImtqNme+/hYVwCZkLQLdlZGOhUqXwkS9IEynaGvPJtv6XB/cz0Q==",
    ("scheduler", "0.28.0"): "juorfCmIkIw8tT+p5BXSm6PJjQF/ycEYmKyzURCIt/RaZIhL+PulbQ9Yu2z1HdOJDdqDTlxA1+xKBmHXJsczAw==",
    (
        "react-test-renderer",
        "19.3.1",
    ): "YcNewwmnZMd0wTb2nkb4hQ58NmX/u1hW2OJsNpen8CnV+jNkmEjYd1R6wJrOMSgb8bIF5HAJv4iL+S3PwNptOA==",
}
SCRIPT = """
import { setTimeout as pause } from "node:timers/promises";
import { createElement, StrictMode } from "react";
import renderer from "react-test-renderer";
import { connect } from "./client.mjs";
import { useStream } from "./use-stream.mjs";

const [service, post, token] = process.argv.slice(2);
const live = connect({ origin: service, token });

function Comments() {
  const { events, state } = useStream(live, `comments/${post}`);
  return `${state.name}: ${events.map(({ body }) => body).join(" ")}`;
}
const page = createElement(StrictMode, null, createElement(Comments), createElement(Comments));
async function shows(root, text) {
  while (JSON.stringify(root.toJSON()) !== JSON.stringify([text, text])) await pause(5);
}
async function comment(body) {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify({ body }) };
  await fetch(`${service}/api/posts/${post}/comments`, options);
}

const first = renderer.create(page);
await shows(first, "live: one");
await comment("two");
await shows(first, "live: one two");
first.unmount();
await comment("three");
const second = renderer.create(page);
await shows(second, "live: one two three");
console.log(JSON.stringify(second.toJSON()));
process.exit();
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A script that shows comments by the hook, next to React."""
    modules = tmp_path / "node_modules"
    modules.mkdir()
    for (name, version), digest in PACKAGES.items():
        npm_package(f"{name}@{version}", f"sha512-{digest}", tmp_path).rename(modules / name)
    for_node(tmp_path, CLIENT, PROJECT / "service" / "web" / "use-stream.js")
    script = tmp_path / "page.mjs"
    script.write_text(SCRIPT)
    return script


@pytest.mark.needs("npm")
def test_components_share_a_stream_and_go_on_where_they_left_off(
    service: Service, page: Path, user: int, number: Number
) -> None:
    post = number()
    options: dict[str, Any] = {"json": {"body": "one"}, "headers": bearer(user), "trust_env": False}
    assert httpx.post(f"{service.http}/api/posts/{post}/comments", **options).status_code == 201
    assert run_node(page, service.http, post, token(user)) == ["live: one two three"] * 2
