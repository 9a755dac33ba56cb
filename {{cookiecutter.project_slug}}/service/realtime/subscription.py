"""From a client's last position to live, without a gap and without a double."""

from typing import Protocol

from service.realtime.frames import Frame, frame_of
from service.realtime.hub import Hub
from service.realtime.streams import HISTORY_LIMIT, Event
from service.realtime.topic import Topic
from service.wire import CaughtUp, HistoryGap


class Follower(Protocol):
    """A subscriber that can be waited for."""

    id: str

    def push(self, frame: Frame) -> None: ...

    async def drained(self) -> None: ...


async def catch_up(follower: Follower, hub: Hub, topic: Topic, after: int) -> None:
    """Send what was missed since `after`, then say so and follow the topic live.

    The topic goes on meanwhile; what it delivers in that time is read with the rest. Nothing is awaited between the
    last look at its position and going live, so no event can fall in between.
    """
    await hub.settled(topic)
    position = after
    while 0 < topic.position - position <= HISTORY_LIMIT:
        events = await topic.events_after(position)
        if not events or events[0].seq != position + 1:
            break
        await _send(follower, events)
        position = events[-1].seq
    if position < topic.position:
        follower.push(frame_of(HistoryGap(after=position, seq=topic.position)))
    else:
        follower.push(frame_of(CaughtUp(seq=topic.position)))
    topic.live[follower.id] = follower


async def _send(follower: Follower, events: list[Event]) -> None:
    for event in events:
        if event.origin != follower.id:
            follower.push(event.frame)
            await follower.drained()
