"""No sequence of frames or messages, however broken, yields a bug, a hang or a wrong code."""

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from tests.engine.kit.client import connected
from tests.engine.kit.raw import CLOSE, TEXT, RawClient, frame
from tests.engine.kit.running import Service
from tests.engine.kit.tokens import token

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "hypothesis-of-the-service")
PATHS = ["/ws/echo", "/ws/json", "/ws/letters", "/ws/rooms/4242"]
CODES = {1000, 1002, 1003, 1005, 1006, 1007, 1008, 1009}
"""1005 is the answer to a close frame that names none."""
ANSWERS = {"pong", "entry_created", "authenticated", "invalid_json", "invalid_message", "invalid_token"}
EXAMPLES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
known_fields = st.sampled_from(["body", "client_id", "seq", "token", "type", "after", "room_id"])
messages = st.builds(
    lambda type_, fields: {"type": type_} | fields,
    st.sampled_from(["new_entry", "ack", "ping", "pong", "authenticate", "entry", "error", "reconnect"]),
    st.dictionaries(known_fields | st.text(max_size=5), json_values, max_size=4),
)
payloads = st.binary(max_size=200) | messages.map(lambda message: repr(message).encode())
usual_frames = st.builds(frame, st.sampled_from([TEXT, 2, 9, 10]), payloads)
any_frames = st.builds(
    frame,
    st.integers(0, 15),
    payloads,
    final=st.booleans(),
    masked=st.booleans() | st.just(True),
    reserved=st.integers(0, 7) | st.just(0),
)


@EXAMPLES
@given(path=st.sampled_from(PATHS), frames=st.lists(usual_frames | any_frames, max_size=15), tail=st.binary(max_size=9))
async def test_any_frames_end_in_an_answer_or_a_fitting_close(
    service: Service, path: str, frames: list[bytes], tail: bytes
) -> None:
    async with RawClient.connected(service.port, path, token(1)) as client:
        await client.send_what_goes(b"".join(frames) + tail + frame(CLOSE, b"\x03\xe8"))
        client.finish()
        assert await client.close_code() in CODES


@EXAMPLES
@given(path=st.sampled_from(PATHS[2:]), sent=st.lists(messages, min_size=1, max_size=8))
async def test_any_message_is_answered_or_processed(service: Service, path: str, sent: list[dict[str, Any]]) -> None:
    async with connected(service.ws, path, user=4242) as client:
        for message in sent:
            await client.send(message)
        await client.send({"type": "authenticate", "token": token(4242)})
        for answer in await client.receive_until("authenticated"):
            assert answer.get("code", answer["type"]) in ANSWERS, answer
