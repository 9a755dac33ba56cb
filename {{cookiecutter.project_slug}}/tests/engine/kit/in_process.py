"""A service in the process of its test, by our protocol, on no database: for what cannot be seen from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import APIRouter
from uvicorn.server import ServerState

from service.engine.application.application import Application
from service.engine.link.arrival import Arrivals
from service.engine.link.socket_link import link_class
from tests.engine.application.settings import Settings


@asynccontextmanager
async def serving(*endpoints: APIRouter) -> AsyncIterator[tuple[int, ServerState]]:
    """Its port, and what uvicorn knows of its connections."""
    settings = Settings(database_url="postgresql://nobody@localhost:1/nothing", secret_key="x" * 32)
    app = Application(settings=Settings, endpoints=endpoints).create(settings)
    arrivals = Arrivals(link_class(1_048_576, 65_536))
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, reset_contextvars=True)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: arrivals(config, state, {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], state
