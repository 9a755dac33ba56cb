"""What can go wrong, in the words the client gets: as a frame, or as an HTTP answer."""

from collections.abc import Mapping
from typing import Self

from service.engine.foundation.wire import Error, Refused


class Problem(Exception):
    """Raise it anywhere below an endpoint: the client gets it as a frame, or as an HTTP answer with `status`."""

    def __init__(self, code: str, message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers

    @classmethod
    def invalid_message(cls, field: str, why: str) -> Self:
        return cls("invalid_message", f"{field}: {why}", status=422)

    @classmethod
    def cannot_be_stored(cls, why: str) -> Self:
        return cls("invalid_message", f"The database cannot hold this: {why}.", status=422)

    def as_error(self, *, client_id: str | None = None, stream: str | None = None) -> Error:
        return Error(code=self.code, message=self.message, client_id=client_id, stream=stream)


class Unavailable(Problem):
    """Something the service depends on does not answer; nothing was stored. Try again."""

    def __init__(self, message: str = "The service cannot store or read right now: try again.") -> None:
        super().__init__("unavailable", message, status=503, headers={"Retry-After": "1"})


class Forbidden(Problem):
    """This user may not do this, whatever they try: for the readers of streams, and wherever else rights are asked."""

    def __init__(self, message: str = "You may not do this.") -> None:
        super().__init__("forbidden", message, status=403)


class Refusal(Problem):
    """A handshake that is not accepted, or a connection that may not go on (RFC 6455 §7.4 `close_code`)."""

    def __init__(
        self, status: int, code: str, message: str, close_code: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code, message, status=status, headers=headers)
        self.close_code = close_code

    def as_refused(self) -> Refused:
        return Refused(code=self.code, message=self.message, close_code=self.close_code)


def insufficient_scope(scope: str) -> Problem:
    return Problem("insufficient_scope", f"The token lacks the scope {scope}.", status=403)
