"""Uvicorn's tests of its protocols on ours: copied among them as their `conftest.py`."""

from __future__ import annotations

from typing import Any

import pytest
from service.engine.link.arrival import Arrivals
from service.engine.link.socket_link import link_class
from service.engine.link.uvicorn_http import BoundedHttpProtocol, http_class
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_MOST_BYTES = 16_777_216
"""Uvicorn's own default for a message."""


@pytest.fixture
def http_protocol_cls(request: pytest.FixtureRequest) -> Arrivals | type[BoundedHttpProtocol]:
    """What a service's sockets are; and where the tests feed HTTP to a protocol of theirs, the one for HTTP alone."""
    links = link_class(_MOST_BYTES, _MOST_BYTES)
    return Arrivals(links) if "websocket" in request.module.__name__ else http_class(links)


@pytest.fixture
def ws_protocol_cls() -> type[WebSocketsSansIOProtocol]:
    """What the tests hand to uvicorn's configuration, where our class does not look."""
    return WebSocketsSansIOProtocol


@pytest.fixture(autouse=True)
def whole_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transport that the tests make up has only the methods that uvicorn calls; ours calls more of them."""
    made_up: Any = getattr(request.module, "MockTransport", None)
    if made_up is not None:
        methods = {
            "abort": lambda self: setattr(self, "closed", True),
            "can_write_eof": lambda _self: True,
            "get_write_buffer_size": lambda _self: 0,
            "set_write_buffer_limits": lambda _self, **_limits: None,
            "write_eof": lambda _self: None,
        }
        for name, method in methods.items():
            monkeypatch.setattr(made_up, name, method, raising=False)
