"""Comments of one post, as they are written."""

from service import comments
from service.comments import COMMENTS, PostId
from service.engine.endpoints.parameters import ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.messages import Comment, CommentCreated, NewComment
from service.settings import CurrentSettings

router = Endpoints()


@router.websocket("/ws/live-comments/{post_id}")
async def live_comments(
    connection: AuthenticatedConnection[NewComment, CommentCreated | Comment],
    streams: Streams,
    settings: CurrentSettings,
    post_id: PostId,
    after: ResumeAfter = None,
) -> None:
    """Store comments on a post and see everybody else's."""

    async def add(new: NewComment) -> CommentCreated:
        return CommentCreated.of(await comments.add(streams, settings, post_id, connection.user_id, new))

    async with connection.subscribed(COMMENTS(post_id), after):
        await connection.serve(add)
