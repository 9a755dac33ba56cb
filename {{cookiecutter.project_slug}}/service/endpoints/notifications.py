"""Notifications: pushed to every connection of their user, created by other services."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

from service.engine.endpoints.parameters import After, Database, Limit, ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.endpoints.security import CurrentUser, requires_scope
from service.engine.foundation.identity import user_of_request
from service.engine.foundation.wire import Storable, StorableJson, UserIdField
from service.messages import Ack, KeptNotification, Notification, StoredNotification
from service.models import NotificationModel
from service.notifications import NOTIFICATIONS, mark_read
from service.settings import CurrentSettings

router = Endpoints()


@router.websocket("/ws/notifications")
async def notifications(
    connection: AuthenticatedConnection[Ack, Notification], database: Database, after: ResumeAfter = None
) -> None:
    """See your notifications and acknowledge them."""

    async def acknowledge(ack: Ack) -> None:
        await mark_read(database, connection.user_id, ack.seq)

    async with connection.subscribed(NOTIFICATIONS(connection.user_id), after):
        await connection.serve(acknowledge)


class History(BaseModel):
    """Notifications after a position, oldest first. There are more while the last one's `seq` is below `last_seq`."""

    notifications: list[KeptNotification]
    last_seq: int


@router.get("/api/notifications")
async def history(user: CurrentUser, streams: Streams, after: After = 0, limit: Limit = 100) -> History:
    """Your notifications after a position, for clients that missed more than a connection sends."""
    found, last_seq = await streams.history(NOTIFICATIONS(user.user_id), user, after, limit)
    return History(notifications=[KeptNotification.of(row) for row in found], last_seq=last_seq)


class NewNotification(BaseModel):
    """Whom to notify, and of what."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UserIdField
    data: dict[Annotated[str, Storable], StorableJson]


@router.post("/api/notifications", status_code=201, dependencies=[requires_scope("notifications:write")])
async def notify(new: NewNotification, streams: Streams, settings: CurrentSettings) -> StoredNotification:
    """Store a notification and push it to all connections of its user."""
    user = user_of_request(new.user_id, settings.jwt_subject_type)
    return StoredNotification.of(await streams.append(NOTIFICATIONS(user), NotificationModel(data=new.data)))
