"""Daphne's tests on the engine's protocols: copied among them as their `conftest.py`."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from daphne import testing
from hypothesis import Phase, settings
from service.engine.link.arrival import Arrivals
from service.engine.link.socket_link import link_class

_MOST_BYTES = 16_777_216
_ONLY_OURS = {"http": {"extensions", "state"}, "websocket": {"extensions", "http_version", "state"}}
"""What ASGI lets a scope have and the tests do not know."""


class _Server(uvicorn.Server):
    ready: Any

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class EngineProcess(multiprocessing.Process):
    """What `DaphneProcess` is to the tests; the limits that Daphne is given and the engine has not are left out."""

    def __init__(self, host: str, get_application: Callable[[], Any], kwargs: dict[str, Any], **_hooks: Any) -> None:
        super().__init__()
        self._host, self._application, self._options = host, get_application(), kwargs
        self.port = multiprocessing.Value("i", 0)
        self.ready = multiprocessing.Event()
        self.errors: Any = multiprocessing.Queue()

    def run(self) -> None:
        most_bytes = self._options.get("websocket_max_message_size", _MOST_BYTES)
        config = uvicorn.Config(
            self._serve,
            http=Arrivals(link_class(_MOST_BYTES, most_bytes)),  # type: ignore[arg-type]
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level=logging.CRITICAL,
            proxy_headers="proxy_forwarded_address_header" in self._options,
            forwarded_allow_ips="*",
            timeout_graceful_shutdown=0,
        )
        listening = socket.create_server((self._host, 0))
        self.port.value = listening.getsockname()[1]
        server = _Server(config)
        server.ready = self.ready
        server.run([listening])

    async def _serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        known = {name: value for name, value in scope.items() if name not in _ONLY_OURS[scope["type"]]}
        lists = {name: list(value) for name, value in known.items() if isinstance(value, tuple)}
        is_over = False

        async def receive_until_over() -> Any:
            """The tests' application listens on after the last message, until Daphne cancels it."""
            nonlocal is_over
            if is_over:
                await asyncio.Event().wait()
            message = await receive()
            is_over = message["type"].endswith(".disconnect")
            return message

        await self._application(known | lists, receive_until_over, send)

    def terminate(self) -> None:
        """As a server ends: what the tests record is written before."""
        super().terminate()
        self.join(5)
        self.kill()


multiprocessing.set_start_method("fork")
settings.register_profile("repeatable", derandomize=True, phases=[Phase.generate], database=None)
settings.load_profile("repeatable")
testing.DaphneProcess = EngineProcess
