"""Whether the installed uvicorn is one that `uvicorn_websocket` was written for."""

import asyncio
from contextlib import closing
from inspect import isfunction

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from service.engine.link.flushing import Flushable
from service.engine.link.link import Link
from service.engine.link.uvicorn_websocket import UvicornLink


def check_uvicorn() -> None:
    """Refuse to run on a uvicorn whose internals are not the ones `UvicornLink` was written for.

    Raises:
        RuntimeError: It names what is missing, or is new.
    """
    overridden = {name for name, value in vars(UvicornLink).items() if isfunction(value) and not name.startswith("_")}
    missing = overridden - set(dir(Link)) - set(dir(Flushable)) - set(dir(WebSocketsSansIOProtocol))
    config = uvicorn.Config(_no_application, interface="asgi3", log_config=None)
    config.load()
    with closing(asyncio.new_event_loop()) as loop:
        link = UvicornLink(config, ServerState(), {}, loop)
    new = set(vars(link))  # what has no slot would cost each connection a dictionary
    if missing or new:
        raise RuntimeError(
            f"uvicorn {uvicorn.__version__} is not the one that the WebSocket engine builds on: "
            f"{', '.join(sorted(missing | new))}. Install the versions pinned in service/requirements.txt."
        )


async def _no_application(_scope: object, _receive: object, _send: object) -> None:
    """What uvicorn is configured with in order to be looked at."""
