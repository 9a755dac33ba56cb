"""Comments of one post, as they are written."""

from service.comments import COMMENTS, PostId
from service.engine.endpoints.parameters import ResumeAfter, Streams
from service.engine.endpoints.router import AuthenticatedConnection, Endpoints
from service.engine.foundation.problems import Problem
from service.messages import Comment, CommentCreated, NewComment
from service.models import CommentModel
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
        if len(new.body) > settings.max_comment_length:
            raise Problem.invalid_message("body", f"at most {settings.max_comment_length} characters")
        row = CommentModel(author_id=connection.user_id, body=new.body, client_id=new.client_id)
        return CommentCreated.of(await streams.append(COMMENTS(post_id), row))

    async with connection.subscribed(COMMENTS(post_id), after):
        await connection.serve(add)
