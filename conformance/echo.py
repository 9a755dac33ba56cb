"""The service with one more endpoint, which sends back exactly what it receives. Runs in a generated project."""

import sys

from service import endpoints
from service.__main__ import main
from service.realtime.router import AnonymousConnection, Endpoints

router = Endpoints()


@router.websocket("/")
async def exact_echo(connection: AnonymousConnection[str | bytes, str | bytes]) -> None:
    async def answer(message: str | bytes) -> str | bytes:
        return message

    await connection.serve(answer)


endpoints.ROUTERS.append(router)
sys.argv = ["service", "serve"]
sys.exit(main())
