"""When to look at a client again, and what for."""

from typing import Any

import pytest

from service.engine.foundation.frames import Frame
from service.engine.link.heartbeat import Heartbeat, Liveness

INTERVAL, TIMEOUT = 30.0, 10.0
START = 1000.0


class Wire:
    """The part of a link that a heartbeat uses."""

    def __init__(self, *, can_ping: bool = True) -> None:
        self.can_ping = can_ping
        self.pings = 0
        self.written: list[bytes] = []

    def ping(self) -> None:
        self.pings += 1

    def write(self, frame: Frame) -> None:
        self.written.append(frame.payload)


@pytest.fixture
def liveness() -> Liveness:
    """Of a client that was heard and spoke at the start."""
    liveness = Liveness()
    liveness.forgive(START)
    return liveness


def look(liveness: Liveness, wire: Wire, now: float, *, answers_pings: bool = True, interval: float = INTERVAL) -> Any:
    link: Any = wire
    return Heartbeat(interval, TIMEOUT).next_look(liveness, link, now, answers_pings=answers_pings)


def test_until_the_interval_is_over_nobody_is_asked(liveness: Liveness) -> None:
    wire = Wire()
    for after in (0, 1, INTERVAL - 0.001):
        assert look(liveness, wire, START + after) == START + INTERVAL
    assert (wire.pings, wire.written) == (0, [])


def test_after_the_interval_a_client_is_asked_once_and_looked_at_when_its_time_is_over(liveness: Liveness) -> None:
    wire = Wire()
    asked = START + INTERVAL + 0.2
    for after in (0, 1, TIMEOUT - 0.1):
        assert look(liveness, wire, asked + after) == asked + TIMEOUT
    assert (wire.pings, wire.written) == (1, [b'{"type":"ping"}'])


def test_who_does_not_answer_in_time_is_given_up(liveness: Liveness) -> None:
    wire = Wire()
    look(liveness, wire, START + INTERVAL)
    assert look(liveness, wire, START + INTERVAL + TIMEOUT) is None


def test_an_answer_begins_a_new_interval(liveness: Liveness) -> None:
    wire = Wire()
    look(liveness, wire, START + INTERVAL)
    answered = START + INTERVAL + 3
    liveness.forgive(answered)
    assert look(liveness, wire, answered + 1) == answered + INTERVAL
    look(liveness, wire, answered + INTERVAL)
    assert (wire.pings, len(wire.written)) == (2, 2)


def test_a_library_that_answers_by_itself_does_not_speak_for_its_page(liveness: Liveness) -> None:
    """It is heard, and sends no message."""
    wire = Wire()
    look(liveness, wire, START + INTERVAL)
    liveness.heard_at = START + INTERVAL + 1
    assert look(liveness, wire, START + INTERVAL + TIMEOUT) is None


def test_an_endpoint_without_messages_of_ours_is_asked_by_the_protocol_alone(liveness: Liveness) -> None:
    wire = Wire()
    look(liveness, wire, START + INTERVAL, answers_pings=False)
    assert (wire.pings, wire.written) == (1, [])
    liveness.heard_at = START + INTERVAL + 1
    assert look(liveness, wire, START + INTERVAL + TIMEOUT, answers_pings=False) == START + 2 * INTERVAL + 1
    assert look(liveness, wire, START + 2 * INTERVAL + 1 + TIMEOUT, answers_pings=False) is not None, "asked just now"
    assert look(liveness, wire, START + 3 * INTERVAL + 1 + TIMEOUT, answers_pings=False) is None


def test_a_server_that_cannot_ping_judges_by_messages_alone(liveness: Liveness) -> None:
    wire = Wire(can_ping=False)
    assert look(liveness, wire, START + INTERVAL, answers_pings=False) == START + 2 * INTERVAL
    assert look(liveness, wire, START + 5 * INTERVAL, answers_pings=False) is not None
    look(liveness, wire, START + 5 * INTERVAL)
    assert look(liveness, wire, START + 5 * INTERVAL + TIMEOUT) is None


def test_a_timeout_longer_than_the_interval_delays_no_ping(liveness: Liveness) -> None:
    wire = Wire()
    asked = START + 2
    assert look(liveness, wire, asked, interval=2) == asked + 2, "there may be something to ask by then"
    liveness.forgive(asked + 1)
    assert look(liveness, wire, asked + 3, interval=2) is not None
    assert wire.pings == 2


def test_an_interval_of_zero_never_asks_and_never_gives_up(liveness: Liveness) -> None:
    wire = Wire()
    assert look(liveness, wire, START + 10**9, interval=0) == float("inf")
    assert (wire.pings, wire.written) == (0, [])
