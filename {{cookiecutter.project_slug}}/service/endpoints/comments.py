"""The history of a post's comments, for clients that missed more than a connection sends."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from service.auth.requests import authenticated
from service.endpoints.dependencies import Comments, PostId
from service.messages import StoredComment
from service.wire import BIGGEST_INTEGER, Number

router = APIRouter()


class History(BaseModel):
    """Comments after a position, oldest first. There are more while the last one's `seq` is below `last_seq`."""

    comments: list[StoredComment]
    last_seq: int


@router.get("/api/posts/{post_id}/comments", dependencies=[Depends(authenticated)])
async def history(
    post_id: PostId,
    comments: Comments,
    after: Annotated[Number, Query(ge=0, le=BIGGEST_INTEGER)] = 0,
    limit: Annotated[Number, Query(ge=1, le=1000)] = 100,
) -> History:
    """The comments of a post after a position."""
    found, last_seq = await comments.after(post_id, after, limit)
    return History(comments=found, last_seq=last_seq)
