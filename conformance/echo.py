"""The service with one more endpoint, which sends back exactly what it receives. Runs in a generated project."""

import sys
from dataclasses import replace

from service.app import application as generated
from service.engine.application.commands import main
from service.engine.endpoints.router import AnonymousConnection, Endpoints

router = Endpoints()


@router.websocket("/")
async def exact_echo(connection: AnonymousConnection[str | bytes, str | bytes]) -> None:
    async def answer(message: str | bytes) -> str | bytes:
        return message

    await connection.serve(answer)


application = replace(generated, endpoints=[router, *generated.endpoints], page=None)
sys.argv = ["service", "serve"]
sys.exit(main("__main__:application"))
