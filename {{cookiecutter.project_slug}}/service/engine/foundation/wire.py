"""The wire's own vocabulary: what every message is made of, and the messages the engine itself sends and takes.

Times are ISO 8601 in UTC. A field that is not described is refused, so that a misspelt one is noticed.
"""

from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

BIGGEST_INTEGER = 2**63 - 1
"""The largest PostgreSQL bigint."""

UserId = int | str
UserIdField = Annotated[
    UserId,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": BIGGEST_INTEGER},
                {"type": "string", "minLength": 1, "maxLength": 255},
            ],
            "description": "As the `sub` of the user's tokens",
        }
    ),
]
"""A user in the body of a request."""
Seq = Annotated[int, Field(ge=1, le=BIGGEST_INTEGER, description="Position in its stream: 1, 2, 3… without gaps")]
Time = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
_DEEPEST = 100
_LONGEST_NAME = 32
"""Characters of a field's name that an error repeats: who sends a name may have mistaken a token for one."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("the NUL character cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a character cannot be stored") from None
    return text


def _storable(value: JsonValue, depth: int = 1) -> JsonValue:
    """Refuse what PostgreSQL cannot hold, or we not give back: NaN, infinities, NUL characters, endless nesting."""
    if depth > _DEEPEST:
        raise ValueError(f"nested more than {_DEEPEST} deep")
    match value:
        case str():
            _without_nul(value)
        case float() if not isfinite(value):
            raise ValueError("NaN and infinities are not JSON")
        case list():
            for item in value:
                _storable(item, depth + 1)
        case dict():
            for key, item in value.items():
                _without_nul(key)
                _storable(item, depth + 1)
    return value


def _in_digits(value: object) -> object:
    """pydantic would also read `1.0`, `1_000`, and a number with white space around it: a line break, say."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit()):
        raise ValueError("must be a whole number, in digits")
    return value


Number = Annotated[int, BeforeValidator(_in_digits)]
"""A number in an address, written in the one way there is."""

Storable = AfterValidator(_without_nul)
"""For a text that PostgreSQL shall keep: `Annotated[str, StringConstraints(max_length=80), Storable]`."""

StorableJson = Annotated[JsonValue, AfterValidator(lambda value: _storable(value))]  # noqa: PLW0108 - pydantic would pass `depth`
StreamName = Annotated[str, StringConstraints(min_length=1, max_length=1024), Storable]
ClientId = Annotated[str, StringConstraints(min_length=1, max_length=128), Storable]


class Message(BaseModel):
    """One JSON object on the wire."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_by_name=True, validate_by_alias=True)

    @classmethod
    def of(cls, source: object) -> Self:
        """A message made of the attributes of an object, such as a row.

        `Field(validation_alias="id")` is for a field whose attribute is called otherwise.
        """
        return cls.model_validate(source, from_attributes=True)

    def encode(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self)


class FromClient(Message):
    """A message that a client may give an id: whatever answers it, an error included, carries the same."""

    client_id: ClientId | None = None


class Answer(Message):
    """A message whose optional fields are left out when they have no value."""

    def encode(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Typed(Message):
    """Puts `type` before the fields of another class: `class Event(StoredEvent, Typed)`."""

    type: str


class Ping(Message):
    """Are you there? Sent by either side."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["ping"] = "ping"


class Pong(Message):
    """I am."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["pong"] = "pong"


class Authenticate(Message):
    """Go on with this newer token of the same user, before the first one expires."""

    type: Literal["authenticate"] = "authenticate"
    token: str


class Authenticated(Message):
    """The newer token is in force."""

    type: Literal["authenticated"] = "authenticated"
    expires_at: Time


class Reconnect(Message):
    """This process is stopping: close follows; come back after the delay."""

    type: Literal["reconnect"] = "reconnect"
    delay_ms: int


class CaughtUp(Message):
    """Everything missed has been sent; what follows is live."""

    type: Literal["caught_up"] = "caught_up"
    seq: int


class HistoryGap(Answer):
    """Too much was missed to send it here: fetch what came after `after` by HTTP. What follows is live."""

    type: Literal["history_gap"] = "history_gap"
    stream: str | None = None
    after: int
    seq: int


class Subscribe(FromClient):
    """Follow a stream: first what came after the position `after`, if one is given, then what comes.

    With `presence` be there for others, and be told who else is.
    """

    type: Literal["subscribe"] = "subscribe"
    stream: StreamName
    after: Annotated[int, Field(ge=0, le=BIGGEST_INTEGER)] | None = None
    presence: bool = False


class Subscribed(Message):
    """Everything missed has been sent; what follows is live. `seq` is the position of the stream's last event."""

    type: Literal["subscribed"] = "subscribed"
    stream: str
    seq: int


class Unsubscribe(FromClient):
    """Follow a stream no longer."""

    type: Literal["unsubscribe"] = "unsubscribe"
    stream: StreamName


class Unsubscribed(Message):
    """Nothing more of the stream will be sent."""

    type: Literal["unsubscribed"] = "unsubscribed"
    stream: str


class SendSignal(FromClient):
    """Tell everybody else on a stream something that is not kept: at most once, and in no order with its events."""

    type: Literal["signal"] = "signal"
    stream: StreamName
    data: dict[Annotated[str, Storable], StorableJson]


class Signal(Message):
    """What somebody else on the stream signals. It is not stored, and comes at most once."""

    type: Literal["signal"] = "signal"
    stream: str
    user_id: UserId
    data: dict[str, JsonValue]


class Presence(Message):
    """Who is on the stream: at most 1,000 of them, and how many there are."""

    type: Literal["presence"] = "presence"
    stream: str
    users: list[UserId]
    count: int


class Joined(Message):
    """A user has come to the stream."""

    type: Literal["joined"] = "joined"
    stream: str
    user_id: UserId


class Left(Message):
    """A user has left the stream."""

    type: Literal["left"] = "left"
    stream: str
    user_id: UserId


class Error(Answer):
    """What went wrong. `client_id` names the message that was not processed, `stream` the stream that is not sent."""

    type: Literal["error"] = "error"
    code: str
    message: str
    client_id: str | None = None
    stream: str | None = None


class Refused(Error):
    """A handshake that was not accepted; `close_code` is the code it would have been closed with."""

    close_code: int


def utc(timestamp: float) -> datetime:
    """A Unix time as the wire writes it."""
    return datetime.fromtimestamp(timestamp, UTC)


def first_problem(errors: list[Any], *, skip: int = 0) -> str:
    """The first of pydantic's errors as `field: why`, without the first `skip` parts of its place."""
    error = errors[0]
    place = ".".join(str(part)[:_LONGEST_NAME] for part in error["loc"][skip:])
    why = str(error["msg"]).removeprefix("Value error, ")
    return f"{place}: {why}"[:500] if place else why[:500]
