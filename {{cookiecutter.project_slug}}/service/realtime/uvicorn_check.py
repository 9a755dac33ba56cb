"""Whether the installed uvicorn is one that `uvicorn_link` was written for."""

from inspect import isfunction
from itertools import chain

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from service.realtime.link import Link
from service.realtime.turn import Flushable
from service.realtime.uvicorn_link import UvicornLink


def check_uvicorn() -> None:
    """Refuse to run on a uvicorn whose internals are not the ones `UvicornLink` was written for.

    Raises:
        RuntimeError: It names what is missing.
    """
    base = WebSocketsSansIOProtocol
    overridden = {name for name, value in vars(UvicornLink).items() if isfunction(value) and not name.startswith("_")}
    missing = overridden - set(dir(Link)) - set(dir(Flushable)) - set(dir(base))
    set_by_uvicorn = chain.from_iterable(
        method.__code__.co_names for method in (base.__init__, base.connection_made, base.handle_connect)
    )
    missing |= {name for name in UvicornLink.__slots__ if not name.startswith("_")} - set(set_by_uvicorn)
    if missing:
        raise RuntimeError(
            f"uvicorn {uvicorn.__version__} lacks what the WebSocket engine builds on: {', '.join(sorted(missing))}. "
            "Install the versions pinned in service/requirements.txt."
        )
