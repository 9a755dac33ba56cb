"""Notifications of users."""

from sqlalchemy import func, update

from service.engine.auth.principal import Principal
from service.engine.foundation.problems import Forbidden
from service.engine.foundation.wire import UserId
from service.engine.storage.database import Database
from service.engine.streams.stream import Stream
from service.messages import Notification
from service.models import NotificationModel

NOTIFICATIONS = Stream("notifications/{user_id}", rows=NotificationModel, event=Notification)


@NOTIFICATIONS.reader
async def may_read(user_id: UserId, user: Principal) -> None:
    """Everybody reads their own."""
    if user_id != user.user_id:
        raise Forbidden("These are somebody else's notifications.")


async def mark_read(database: Database, user: UserId, seq: int) -> None:
    """Mark everything up to `seq` as read; raises Unavailable."""
    await database.execute(
        update(NotificationModel)
        .where(NotificationModel.user_id == user, NotificationModel.seq <= seq, NotificationModel.read_at.is_(None))
        .values(read_at=func.now())
    )
