"""Clients that each keep one WebSocket open and time every round trip on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from locust import User, constant_pacing, task
from locust.exception import RescheduleTask
from websocket import WebSocket, WebSocketException, create_connection


class UnexpectedAnswerError(Exception):
    """The service answered something else than the protocol promises."""


class WebSocketUser(User):
    """A client with one connection to `path`, opened when needed and again after a failure."""

    abstract = True
    path: str
    _socket: WebSocket | None = None

    def connection(self) -> WebSocket:
        if self._socket is None:
            with self.timed("connect"):
                self._socket = create_connection(f"{(self.host or '').replace('http', 'ws', 1)}{self.path}", timeout=10)
        assert self._socket is not None
        return self._socket

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Report the block as one request of this name; a failure costs the connection and ends the task."""
        failure: Exception | None = None
        started = perf_counter()
        try:
            yield
        except (OSError, WebSocketException, UnexpectedAnswerError) as error:
            failure = error
            self.on_stop()
            raise RescheduleTask from error
        finally:
            self.environment.events.request.fire(
                request_type="WebSocket",
                name=f"{self.path} {name}",
                response_time=(perf_counter() - started) * 1000,
                response_length=0,
                exception=failure,
                context={},
            )

    def on_stop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Echo(WebSocketUser):
    """Says something every second and expects to hear it again."""

    path = "/ws/echo"
    wait_time = constant_pacing(1)

    @task
    def echo(self) -> None:
        socket = self.connection()
        with self.timed("round trip"):
            socket.send("hello")
            answer = socket.recv()
            if answer != "Echo: hello":
                raise UnexpectedAnswerError(repr(answer))
