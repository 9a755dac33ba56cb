"""The streams of an application in its documents: from their declarations alone."""

import inspect
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, create_model

from service.engine.foundation.wire import Message
from service.engine.streams.names import parameter_types
from service.engine.streams.stream import Stream

Document = dict[str, Any]

StreamField = Annotated[str, Field(description="The name of the stream that the event is of")]


def named_event(stream: Stream[Any]) -> type[Message]:
    """The event of a stream as it is sent where many are followed."""
    return _named(stream.event)


@cache
def _named(event: type[Message]) -> type[Message]:
    named = create_model(f"{event.__name__}OfStream", __base__=event, stream=(StreamField, ...))
    named.__doc__ = inspect.getdoc(event)
    return named


def in_words(schema: Document) -> str:
    """A parameter's type in a few words."""
    if "description" in schema:
        return str(schema["description"])
    limits = [str(schema[limit]) for limit in ("minimum", "maximum") if limit in schema]
    return f"{schema.get('type', 'string')} {' to '.join(limits)}".strip()


def stream_channel(stream: Stream[Any], event: type[Message]) -> Document:
    """A stream as a channel of AsyncAPI: its address is its name."""
    rights = stream.rights
    ways = (
        "Subscribe to it by this name on `/ws/streams`. Over HTTP: "
        f"`GET /api/streams/{stream.name}` for what there is, `GET /api/streams/{stream.name}/events` for "
        "server-sent events."
    )
    return {
        "address": stream.name,
        "title": f"Stream {stream.name}",
        "description": "\n\n".join(filter(None, (ways, rights and f"Who may read: {rights}"))),
        "parameters": {
            name: {"description": in_words(TypeAdapter(kind).json_schema())}
            for name, kind in parameter_types(stream).items()
        },
        "messages": {event.__name__: {"$ref": f"#/components/messages/{event.__name__}"}},
    }
