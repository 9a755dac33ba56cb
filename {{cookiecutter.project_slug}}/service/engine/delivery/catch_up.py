"""From a client's last position to live, without a gap and without a double."""

import asyncio

from service.engine.delivery.hub import Hub
from service.engine.delivery.topic import Subscriber, Topic
from service.engine.streams.event import Event
from service.engine.streams.stored import HISTORY_LIMIT


async def catch_up(subscriber: Subscriber, hub: Hub, topic: Topic, after: int | None, *, opens: bool) -> None:
    """Send what was missed since `after`, then say so and follow the topic live; without one, from where it is.

    The topic goes on meanwhile; what it delivers in that time is read with the rest. Nothing is awaited between the
    last look at its position and going live, so no event can fall in between.
    `opens`: whether the topic was opened for this, or will be.
    """
    await hub.settled(topic, opens=opens)
    position = topic.position if after is None else after
    while 0 < topic.position - position <= HISTORY_LIMIT:
        events = await topic.events_after(position)
        await asyncio.sleep(0)  # where an end arrives that a query has put off
        if not events or events[0].seq != position + 1:
            break
        await _send(subscriber, events)
        position = events[-1].seq
    if position < topic.position:
        subscriber.fell_behind(topic.stream.name, position, topic.position)
    else:
        subscriber.caught_up(topic.stream.name, topic.position)
    topic.go_live(subscriber)


async def _send(subscriber: Subscriber, events: list[Event]) -> None:
    for event in events:
        if event.origin != subscriber.id:
            subscriber.push(subscriber.form(event))
            await subscriber.drained()
