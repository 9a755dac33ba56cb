"""An endpoint for whoever only wants to know whether the way in works: smoke tests, monitors, load tests."""

from typing import Never

from service.engine.endpoints.router import AuthenticatedConnection, Endpoints

router = Endpoints()


@router.websocket("/ws/ping")
async def ping(connection: AuthenticatedConnection[Never, Never]) -> None:
    """Answer pings, and take nothing else. Any valid token will do."""
    await connection.serve()
