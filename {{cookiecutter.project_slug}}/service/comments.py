"""Comments on posts."""

from typing import Annotated

from fastapi import Path

from service.engine.auth.principal import Principal
from service.engine.foundation.problems import Problem
from service.engine.foundation.wire import BIGGEST_INTEGER, Number, UserId
from service.engine.streams.stream import Stream
from service.engine.streams.streams import Streams
from service.messages import Comment, CommentText
from service.models import CommentModel
from service.settings import Settings

PostId = Annotated[Number, Path(ge=0, le=BIGGEST_INTEGER)]

COMMENTS = Stream(
    "comments/{post_id}",
    rows=CommentModel,
    event=Comment,
    once=("author_id", "client_id"),
    signals=True,
    presence=True,
)


@COMMENTS.reader
async def may_read(post_id: PostId, user: Principal) -> None:
    """Everybody with a token may. Raise Forbidden to refuse: a subscription and a look into history alike."""


async def add(streams: Streams, settings: Settings, post_id: int, author: UserId, text: CommentText) -> CommentModel:
    """Store a comment, once for each `client_id` of its author; raises Problem."""
    if len(text.body) > settings.max_comment_length:
        raise Problem.invalid_message("body", f"at most {settings.max_comment_length} characters")
    row = CommentModel(author_id=author, body=text.body, client_id=text.client_id)
    return await streams.append(COMMENTS(post_id), row)
