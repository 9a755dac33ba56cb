"""Comments on posts."""

from typing import Annotated

from fastapi import Path

from service.engine.auth.principal import Principal
from service.engine.foundation.wire import BIGGEST_INTEGER, Number
from service.engine.streams.stream import Stream
from service.messages import Comment
from service.models import CommentModel

PostId = Annotated[Number, Path(ge=0, le=BIGGEST_INTEGER)]

COMMENTS = Stream("comments/{post_id}", rows=CommentModel, event=Comment, once=("author_id", "client_id"))


@COMMENTS.reader
async def may_read(post_id: PostId, user: Principal) -> None:
    """Everybody with a token may. Raise Forbidden to refuse: a subscription and a look into history alike."""
