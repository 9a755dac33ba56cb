"""What endpoints may ask for, as parameter types."""

from typing import Annotated

from fastapi import Depends, Query, WebSocket
from fastapi.requests import HTTPConnection

from service.engine.connection.session import new_id
from service.engine.endpoints.service_app import runtime_of
from service.engine.foundation.settings import S
from service.engine.foundation.wire import BIGGEST_INTEGER, Number
from service.engine.process.runtime import Runtime as _Runtime
from service.engine.storage.database import Database as _Database
from service.engine.streams.streams import Streams as _Streams

_CONNECTION_ID = "service.connection_id"


def connection_id(handshake: HTTPConnection) -> str:
    """What the connection of a handshake is, or will be, called."""
    if _CONNECTION_ID not in handshake.scope:
        handshake.scope[_CONNECTION_ID] = new_id()
    identity: str = handshake.scope[_CONNECTION_ID]
    return identity


def settings_of(connection: HTTPConnection, kind: type[S]) -> S:
    """An application's own settings, of the class that it is declared with."""
    settings = runtime_of(connection).settings
    assert isinstance(settings, kind)
    return settings


async def _runtime(connection: HTTPConnection) -> _Runtime:
    return runtime_of(connection)  # a function that is not `async` would be called in a thread


async def _streams(connection: HTTPConnection) -> _Streams:
    origin = connection_id(connection) if isinstance(connection, WebSocket) else None
    return _Streams(runtime_of(connection).streams, origin)


async def _database(connection: HTTPConnection) -> _Database:
    return runtime_of(connection).database


Runtime = Annotated[_Runtime, Depends(_runtime)]
Streams = Annotated[_Streams, Depends(_streams)]
"""Append to streams, look into their history, end a right to them."""
Database = Annotated[_Database, Depends(_database)]
"""`async with database.session() as session: …`: one operation, one transaction."""

After = Annotated[Number, Query(ge=0, le=BIGGEST_INTEGER, description="Only what came after this `seq`")]
Limit = Annotated[Number, Query(ge=1, le=1000, description="At most so many, the oldest first")]
ResumeAfter = Annotated[
    Number | None, Query(ge=0, le=BIGGEST_INTEGER, description="Send what came after this `seq` first")
]
