"""The messages of your endpoints: what clients send, what the service answers, and what it pushes."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints

from service.engine.foundation.wire import Answer, FromClient, Message, Seq, Storable, Time, Typed, UserId

CommentId = Annotated[int, Field(validation_alias="id")]


class CommentText(FromClient):
    """What somebody writes. The same `client_id` again stores nothing and answers the same `comment_id`."""

    body: Annotated[str, StringConstraints(min_length=1), Storable]


class NewComment(CommentText, Typed):
    """Store a comment. The same `client_id` again stores nothing and answers the same `comment_id`."""

    type: Literal["new_comment"] = "new_comment"


class CommentCreated(Answer):
    """The comment is stored."""

    type: Literal["comment_created"] = "comment_created"
    comment_id: CommentId
    seq: Seq
    client_id: str | None = None


class StoredComment(Message):
    """A comment as history returns it."""

    comment_id: CommentId
    seq: Seq
    post_id: int
    author_id: UserId
    body: str
    created_at: Time


class Comment(StoredComment, Typed):
    """Somebody else's comment on the post."""

    type: Literal["comment"] = "comment"


class Ack(FromClient):
    """Everything up to `seq` has been read."""

    type: Literal["ack"] = "ack"
    seq: Seq


class StoredNotification(Message):
    """A notification as it was stored."""

    id: int
    seq: Seq
    data: dict[str, JsonValue]
    created_at: Time


class KeptNotification(StoredNotification):
    """A notification as history returns it."""

    read_at: Time | None


class Notification(StoredNotification, Typed):
    """Something for this user."""

    type: Literal["notification"] = "notification"
