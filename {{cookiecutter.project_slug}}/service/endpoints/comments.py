"""The history of a post's comments, for clients that missed more than a connection sends."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from service.auth.requests import authenticated
from service.endpoints.dependencies import After, Comments, Limit, PostId
from service.messages import StoredComment

router = APIRouter()


class History(BaseModel):
    """Comments after a position, oldest first. There are more while the last one's `seq` is below `last_seq`."""

    comments: list[StoredComment]
    last_seq: int


@router.get("/api/posts/{post_id}/comments", dependencies=[Depends(authenticated)])
async def history(post_id: PostId, comments: Comments, after: After = 0, limit: Limit = 100) -> History:
    """The comments of a post after a position."""
    found, last_seq = await comments.after(post_id, after, limit)
    return History(comments=found, last_seq=last_seq)
