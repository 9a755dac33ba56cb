"""Comments of one post, as they are written."""

from service.endpoints.dependencies import Comments, Position, PostId
from service.messages import Comment, CommentCreated, NewComment
from service.realtime.router import AuthenticatedConnection, Endpoints

router = Endpoints()


@router.websocket("/ws/live-comments/{post_id}")
async def live_comments(
    connection: AuthenticatedConnection[NewComment, CommentCreated | Comment],
    comments: Comments,
    post_id: PostId,
    after: Position = None,
) -> None:
    """Store comments on a post and see everybody else's."""

    async def add(comment: NewComment) -> CommentCreated:
        return await comments.add(post_id, connection.user_id, comment, origin=connection.id)

    async with connection.subscribed(comments.stream(post_id), after):
        await connection.serve(add)
