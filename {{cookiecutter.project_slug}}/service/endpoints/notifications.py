"""Notifications: pushed to every connection of their user, created by other services."""

from typing import Annotated

from fastapi import Depends
from pydantic import BaseModel, ConfigDict

from service.auth.requests import requires_scope
from service.endpoints.dependencies import Notifications, Position
from service.messages import Ack, Notification, StoredNotification
from service.realtime.router import AuthenticatedConnection, Endpoints
from service.wire import Storable, StorableJson, UserId

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


class NewNotification(BaseModel):
    """Whom to notify, and of what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserId
    data: dict[Annotated[str, Storable], StorableJson]


@router.post("/api/notifications", status_code=201, dependencies=[Depends(requires_scope("notifications:write"))])
async def notify(new: NewNotification, notifications: Notifications) -> StoredNotification:
    """Store a notification and push it to all connections of its user."""
    return await notifications.add(new.user_id, new.data)
