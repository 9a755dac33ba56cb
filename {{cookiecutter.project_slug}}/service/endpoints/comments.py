"""The comments of a post over HTTP: those that there are, and a new one."""

from fastapi import APIRouter
from pydantic import BaseModel

from service import comments
from service.comments import COMMENTS, PostId
from service.engine.endpoints.parameters import After, Limit, Streams
from service.engine.endpoints.security import CurrentUser
from service.messages import CommentText, StoredComment
from service.settings import CurrentSettings

router = APIRouter()


class History(BaseModel):
    """Comments after a position, oldest first. There are more while the last one's `seq` is below `last_seq`."""

    comments: list[StoredComment]
    last_seq: int


@router.get("/api/posts/{post_id}/comments")
async def history(
    post_id: PostId, user: CurrentUser, streams: Streams, after: After = 0, limit: Limit = 100
) -> History:
    """The comments of a post after a position."""
    found, last_seq = await streams.history(COMMENTS(post_id), user, after, limit)
    return History(comments=[StoredComment.of(row) for row in found], last_seq=last_seq)


@router.post("/api/posts/{post_id}/comments", status_code=201)
async def add(
    post_id: PostId, new: CommentText, user: CurrentUser, streams: Streams, settings: CurrentSettings
) -> StoredComment:
    """Store a comment, with the effect of `new_comment` on a connection."""
    await streams.check_reader(COMMENTS(post_id), user)
    return StoredComment.of(await comments.add(streams, settings, post_id, user.user_id, new))
