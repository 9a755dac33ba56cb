"""Where uvicorn's part in a WebSocket ends: it has read the handshake, and the rest is a `SocketLink`'s.

This is all of uvicorn's insides that a WebSocket touches; `check_uvicorn` tells at start whether they are as expected.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from contextvars import Context
from typing import Any
from urllib.parse import unquote

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.engine.link.asgi_adapter import AsgiAdapter
from service.engine.link.link import EXTENSION
from service.engine.link.socket_link import SocketLink

_READ = (
    "app", "app_state", "asgi_version", "client", "connections", "headers", "loop", "root_path", "scheme", "server",
    "tasks", "transport", "url",
)  # fmt: skip
"""Of uvicorn's HTTP protocol, once it has read a head."""
_OVERRIDDEN = ("_should_upgrade", "_unset_keepalive_if_required", "on_response_complete", "timeout_keep_alive_handler")
"""Methods of its own that it has to call, or ours do."""

_Application = Callable[[Any, Any, Any], Awaitable[None]]

_logger = structlog.get_logger(__name__)


def upgrade(http: HttpToolsProtocol, link_class: type[SocketLink], early: bytes) -> None:
    """Make a link of the socket, and let the application answer the handshake; `early` has come after it."""
    http.connections.discard(http)
    key = next(value for name, value in http.headers if name == b"sec-websocket-key")
    link = link_class(http.transport, http.loop, http.connections, key, early)
    http.transport.set_protocol(link)
    serving = _serve(http.app, _scope(http, link), link)
    task = http.loop.create_task(serving, context=Context())  # not in the one of the request before
    http.tasks.add(task)
    task.add_done_callback(http.tasks.discard)


async def _serve(app: _Application, scope: dict[str, Any], link: SocketLink) -> None:
    """Let the application check a handshake, then live the life that it has given the link, without the way there."""
    adapter = AsgiAdapter(link)
    try:
        await app(scope, adapter.receive, adapter.send)
    except BaseException as error:
        if (life := link.taken_life()) is not None:
            life.close()
        expected = adapter.is_over or not isinstance(error, Exception)
        adapter.returned(error)
        if not expected:
            _logger.exception("request_failed", path=scope["path"])
        if not isinstance(error, Exception):
            raise
        return
    life = link.taken_life()
    if life is None:
        adapter.returned()
    else:
        del app, scope, adapter
        try:
            await life
        except Exception:
            _logger.exception("connection_failed")
            link.abort()


def _scope(http: HttpToolsProtocol, link: SocketLink) -> dict[str, Any]:
    raw_path, _, query = http.url.partition(b"?")
    offered = [value.decode("latin-1") for name, value in http.headers if name == b"sec-websocket-protocol"]
    return {
        "type": "websocket",
        "asgi": {"version": http.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if http.scheme == "https" else "ws",
        "server": http.server,
        "client": http.client,
        "root_path": http.root_path,
        "path": http.root_path + unquote(raw_path.decode("ascii")),
        "raw_path": http.root_path.encode("ascii") + raw_path,
        "query_string": query,
        "headers": http.headers,
        "subprotocols": [name.strip() for value in offered for name in value.split(",")],
        "state": http.app_state.copy(),
        "extensions": {"websocket.http.response": {}, EXTENSION: link},
    }


def check_uvicorn() -> None:
    """Refuse to run on a uvicorn whose HTTP protocol is not the one that this was written for.

    Raises:
        RuntimeError: It names what is missing.
    """
    config = uvicorn.Config(_no_application, interface="asgi3", ws="none", log_config=None)
    config.load()
    with closing(asyncio.new_event_loop()) as loop:
        http = HttpToolsProtocol(config, ServerState(), {}, loop)
    http.on_message_begin()
    missing = [name for name in (*_READ, *_OVERRIDDEN) if not hasattr(http, name)]
    if missing:
        raise RuntimeError(
            f"uvicorn {uvicorn.__version__} is not the one that the WebSocket engine builds on: {', '.join(missing)} "
            "is missing. Install the versions pinned in service/requirements.txt."
        )


async def _no_application(_scope: object, _receive: object, _send: object) -> None:
    """What uvicorn is configured with in order to be looked at."""
