"""What an endpoint's author is given, and no more; and what cannot be declared."""

from typing import Never

import pytest

from service.engine.connection.connection import Connection
from service.engine.endpoints.router import AnonymousConnection, AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import requires_scope
from tests.engine.application.messages import Letter, Who


def test_a_connection_offers_its_author_exactly_this() -> None:
    offered = {name for name in dir(Connection) if not name.startswith("_")}
    assert offered == {"id", "principal", "send", "serve", "subscribed", "user_id"}


async def without_a_connection(number: int) -> None: ...


async def takes_no_message(connection: AuthenticatedConnection[dict[str, int], Letter]) -> None: ...


async def anybody(connection: AnonymousConnection[Who, Letter]) -> None: ...


def test_an_endpoint_needs_a_connection() -> None:
    with pytest.raises(TypeError, match="without_a_connection needs a connection"):
        Endpoints().websocket("/ws/x")(without_a_connection)


def test_an_endpoint_takes_messages() -> None:
    with pytest.raises(TypeError, match="takes messages"):
        Endpoints().websocket("/ws/x")(takes_no_message)


def test_a_scope_is_not_asked_of_anybody() -> None:
    with pytest.raises(TypeError, match="anybody asks for a scope"):
        Endpoints().websocket("/ws/x", dependencies=[requires_scope("x")])(anybody)


def test_what_is_declared_is_known_of_the_endpoint() -> None:
    async def silent(connection: AuthenticatedConnection[Never, Letter]) -> None: ...

    router = Endpoints()
    declared = router.websocket("/ws/x", dependencies=[requires_scope("a"), requires_scope("b")])(silent)
    assert declared is silent, "an author may call it"
    (endpoint,) = router.declared
    assert (endpoint.path, endpoint.authenticated, endpoint.scopes) == ("/ws/x", True, ("a", "b"))
    assert (endpoint.incoming, endpoint.outgoing) == (Never, Letter)
