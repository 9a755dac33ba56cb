"""Where a vehicle is, as it moves."""

from service.engine.endpoints.parameters import ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.vehicles import POSITIONS, Moved, Position, PositionModel

router = Endpoints()


@router.websocket("/ws/vehicles/{vehicle}")
async def vehicles(
    connection: AuthenticatedConnection[Moved, Position], streams: Streams, vehicle: int, after: ResumeAfter = None
) -> None:
    """Tell where a vehicle is, and follow it."""

    async def move(moved: Moved) -> None:
        await streams.append(POSITIONS(vehicle), PositionModel(driver=connection.user_id, metre=moved.metre))

    async with connection.subscribed(POSITIONS(vehicle), after):
        await connection.serve(move)
