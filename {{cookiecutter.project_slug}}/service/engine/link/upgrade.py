"""Where HTTP ends and a WebSocket begins: its handshake is read, and the rest is a `SocketLink`'s.

This is all of uvicorn's insides that a WebSocket touches; `check_uvicorn` tells at start whether they are as expected.
"""

import asyncio
from asyncio import Transport
from collections.abc import Awaitable, Callable
from contextlib import closing
from contextvars import Context
from typing import Any, NamedTuple
from urllib.parse import unquote

import structlog
import uvicorn
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.engine.link.asgi_adapter import AsgiAdapter
from service.engine.link.handshake_head import Handshake
from service.engine.link.link import EXTENSION
from service.engine.link.socket_link import SocketLink

_OF_CONFIG = ("asgi_version", "is_ssl", "loaded_app", "root_path")
_OF_STATE = ("connections", "tasks")
_READ = ("app_state", "config", "headers", "loop", "server_state", "transport", "url")
"""Of uvicorn's HTTP protocol, once it has read a head."""
_OVERRIDDEN = ("_should_upgrade", "_unset_keepalive_if_required", "on_response_complete", "timeout_keep_alive_handler")
"""Methods of its own that it has to call, or ours do."""

_IPV4_AS_IPV6 = "::ffff:"

_Application = Callable[[Any, Any, Any], Awaitable[None]]

_logger = structlog.get_logger(__name__)


class Server(NamedTuple):
    """What uvicorn gives to the protocol of each socket, by which it makes it."""

    config: Config
    state: ServerState
    app_state: dict[str, Any]
    loop: asyncio.AbstractEventLoop


def serve(server: Server, link: SocketLink, handshake: Handshake) -> None:
    """Let the application answer the handshake that has come on the socket of `link`."""
    link.asked(next(value for name, value in handshake.headers if name == b"sec-websocket-key"), handshake.early)
    scope = _scope(server, link.transport, handshake)
    scope["extensions"][EXTENSION] = link
    serving = _serve(server.config.loaded_app, scope, link)
    task = server.loop.create_task(serving, context=Context())  # not in the one of the request before
    server.state.tasks.add(task)
    task.add_done_callback(server.state.tasks.discard)


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


def _scope(server: Server, transport: Transport, handshake: Handshake) -> dict[str, Any]:
    raw_path, _, query = handshake.target.partition(b"?")
    root_path = server.config.root_path
    offered = [value.decode("latin-1") for name, value in handshake.headers if name == b"sec-websocket-protocol"]
    return {
        "type": "websocket",
        "asgi": {"version": server.config.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if server.config.is_ssl else "ws",
        "server": _address(transport, "sockname"),
        "client": client_of(transport),
        "root_path": root_path,
        "path": root_path + unquote(raw_path.decode("ascii")),
        "raw_path": root_path.encode("ascii") + raw_path,
        "query_string": query,
        "headers": handshake.headers,
        "subprotocols": [name.strip() for value in offered for name in value.split(",")],
        "state": server.app_state.copy(),
        "extensions": {"websocket.http.response": {}},
    }


def client_of(transport: Transport) -> tuple[str, int] | None:
    """Its address, that of IPv4 as such where the socket takes both."""
    address = _address(transport, "peername")
    if address is not None and address[0].startswith(_IPV4_AS_IPV6):
        return address[0].removeprefix(_IPV4_AS_IPV6), address[1]
    return address


def _address(transport: Transport, name: str) -> tuple[str, int] | None:
    """As the transport knows it: to ask the socket, as uvicorn does, takes ten times as long."""
    address = transport.get_extra_info(name)
    return address[:2] if isinstance(address, tuple) else None


def check_uvicorn() -> None:
    """Refuse to run on a uvicorn whose HTTP protocol is not the one that this was written for.

    Raises:
        RuntimeError: It names what is missing.
    """
    config = Config(_no_application, interface="asgi3", ws="none", log_config=None)
    config.load()
    with closing(asyncio.new_event_loop()) as loop:
        http = HttpToolsProtocol(config, ServerState(), {}, loop)
    http.on_message_begin()
    used = ((config, _OF_CONFIG), (http.server_state, _OF_STATE), (http, (*_READ, *_OVERRIDDEN)))
    missing = [name for owner, names in used for name in names if not hasattr(owner, name)]
    if missing:
        raise RuntimeError(
            f"uvicorn {uvicorn.__version__} is not the one that the WebSocket engine builds on: {', '.join(missing)} "
            "is missing. Install the versions pinned in service/requirements.txt."
        )


async def _no_application(_scope: object, _receive: object, _send: object) -> None:
    """What uvicorn is configured with in order to be looked at."""
