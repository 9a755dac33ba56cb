"""Notifications: pushed to every connection of their user, created by other services."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from service.auth.requests import CurrentUser, requires_scope
from service.endpoints.dependencies import After, Limit, Notifications, Position
from service.messages import Ack, KeptNotification, Notification, StoredNotification
from service.realtime.router import AuthenticatedConnection, Endpoints
from service.wire import BIGGEST_INTEGER, Storable, StorableJson, UserId

router = Endpoints()


@router.websocket("/ws/notifications")
async def notifications(
    connection: AuthenticatedConnection[Ack, Notification], notifications: Notifications, after: Position = None
) -> None:
    """See your notifications and acknowledge them."""

    async def mark_read(ack: Ack) -> None:
        await notifications.mark_read(connection.user_id, ack.seq)

    async with connection.subscribed(notifications.stream(connection.user_id), after):
        await connection.serve(mark_read)


class History(BaseModel):
    """Notifications after a position, oldest first. There are more while the last one's `seq` is below `last_seq`."""

    notifications: list[KeptNotification]
    last_seq: int


@router.get("/api/notifications")
async def history(user: CurrentUser, notifications: Notifications, after: After = 0, limit: Limit = 100) -> History:
    """Your notifications after a position, for clients that missed more than a connection sends."""
    found, last_seq = await notifications.after(user.user_id, after, limit)
    return History(notifications=found, last_seq=last_seq)


_USER = {
    "anyOf": [
        {"type": "integer", "minimum": 0, "maximum": BIGGEST_INTEGER},
        {"type": "string", "minLength": 1, "maxLength": 255},
    ],
    "description": "As the `sub` of the user's tokens",
}


class NewNotification(BaseModel):
    """Whom to notify, and of what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: Annotated[UserId, WithJsonSchema(_USER)]
    data: dict[Annotated[str, Storable], StorableJson]


@router.post("/api/notifications", status_code=201, dependencies=[requires_scope("notifications:write")])
async def notify(new: NewNotification, notifications: Notifications) -> StoredNotification:
    """Store a notification and push it to all connections of its user."""
    return await notifications.add(new.user_id, new.data)
