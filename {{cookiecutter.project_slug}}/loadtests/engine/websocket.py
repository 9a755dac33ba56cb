"""One WebSocket on a plain socket, which gevent makes cooperative: as many as there is memory for in one process."""

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidState, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.uri import parse_uri

_HANDSHAKE_SECONDS = 10
_SILENCE_SECONDS = 45
"""After this long without a byte the server is asked for a sign of life, and given up when it takes as long again."""
_BUFFER = 65_536


class Refused(Exception):
    """The handshake was answered by something else than an upgrade; `body` says why."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


class Closed(Exception):
    """The connection is over; code 1006 stands for an end without a close frame (RFC 6455 §7.1.5)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WebSocket:
    """An open connection: one greenlet may receive while others send.

    Raises:
        Refused: The server did not let us in.
        OSError: There is no server, or it did not answer in time.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._protocol = ClientProtocol(parse_uri(url), max_size=None)
        self._sending = Lock()
        self._fragments: list[Frame] = []
        self._messages: list[str | bytes] = []
        self._asked = False
        self._socket = _connect(url)
        try:
            self._shake_hands(token)
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(_SILENCE_SECONDS)

    def send(self, message: str | bytes) -> None:
        """Send one message; raises Closed."""
        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except InvalidState:
            raise Closed(1006, "closing") from None
        self._flush()

    def receive(self) -> str | bytes:
        """Wait for the next message; raises Closed."""
        while not self._messages:
            if self._protocol.close_rcvd is not None:
                raise Closed(self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason)
            try:
                data = self._socket.recv(_BUFFER)
            except TimeoutError:
                self._ask_for_life()
                continue
            except OSError as error:
                raise Closed(1006, type(error).__name__) from None
            if not data:
                raise Closed(1006, "no close frame")
            self._asked = False
            self._protocol.receive_data(data)
            self._flush()
            self._take(self._protocol.events_received())
        return self._messages.pop(0)

    def close(self) -> None:
        """Say goodbye, and do not wait for an answer."""
        with suppress(Closed, InvalidState):  # it is over already
            self._protocol.send_close(1000)
            self._flush()
        self._socket.close()

    def cut(self) -> None:
        """End it as a lost link does: no close frame. Whoever receives is told."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _shake_hands(self, token: str | None) -> None:
        request = self._protocol.connect()
        if token is not None:
            request.headers["Authorization"] = f"Bearer {token}"
        self._protocol.send_request(request)
        self._flush()
        while not (events := self._protocol.events_received()):
            data = self._socket.recv(_BUFFER)
            self._protocol.receive_data(data) if data else self._protocol.receive_eof()
            if self._protocol.handshake_exc is not None:
                break
        failure = self._protocol.handshake_exc
        if isinstance(failure, InvalidStatus):
            raise Refused(failure.response.status_code, bytes(failure.response.body or b""))
        if isinstance(failure, InvalidHandshake):
            raise ConnectionError(str(failure))
        self._take(events[1:])  # what came on the heels of the answer

    def _ask_for_life(self) -> None:
        if self._asked:
            raise Closed(1006, "no sign of life")
        self._asked = True
        self._protocol.send_ping(b"")
        self._flush()

    def _take(self, events: Sequence[Event]) -> None:
        for frame in events:
            assert isinstance(frame, Frame)
            if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._fragments.append(frame)
                if frame.fin:
                    data = b"".join(fragment.data for fragment in self._fragments)
                    self._messages.append(data.decode() if self._fragments[0].opcode is Opcode.TEXT else data)
                    self._fragments.clear()

    def _flush(self) -> None:
        with self._sending:
            try:
                self._socket.sendall(b"".join(self._protocol.data_to_send()))
            except OSError as error:
                raise Closed(1006, type(error).__name__) from None


def _connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    secure = parts.scheme == "wss"
    plain = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), _HANDSHAKE_SECONDS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not secure:
        return plain
    return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)
