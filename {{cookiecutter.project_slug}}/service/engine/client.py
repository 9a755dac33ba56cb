"""A client for other programs: follows streams, comes back by itself, and misses nothing.

    async with connect("https://example.com", token=my_token) as live:
        async for event in live.subscribe("rooms/1", after=0):
            print(event)

It needs the package websockets and nothing else of this project: copy it to where it is used.
"""

import asyncio
import inspect
import json
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

Event = dict[str, Any]
Token = str | Callable[[], str | Awaitable[str]]

_FIRST_BOUND, _LONGEST_BOUND = 0.5, 30.0
"""Seconds. Full jitter: delays are random below a bound that doubles with each failure."""
_PATIENCE = 10.0
_PAGE = 1000
_FOR_NOW = {"rate_limited", "unavailable", "internal_error"}
"""A subscription that is refused for one of these is asked for again."""
_SIGNAL = "a signal"  # the `client_id` of all: their errors are about no subscription
_STAY_AWAY = {1000, 1003, 1007, 1009, 4403}
_NEW_TOKEN = 1008
_AT_ONCE = {_NEW_TOKEN, 4408}


class Refused(Exception):
    """The service does not let us in, or not read a stream; `code` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


def connect(url: str, *, token: Token) -> "Live":
    """All streams of the service at `url`, on one connection; `token` may be what gets one, for each connection."""
    return Live(url, token)


class Subscription:
    """The events of one stream, each once and in order: `async for`. Ends when it is unsubscribed; raises Refused.

    Whoever does not read on keeps the connection, and so all other streams, from reading on.
    """

    def __init__(self, live: "Live", stream: str, after: int | None, presence: bool) -> None:
        self.stream = stream
        self.position = after
        """The `seq` of the last event that was handed over: the `after` of another time."""
        self.present: set[int | str] = set()
        """Who is there, as the last event that was handed over has it: ids of users."""
        self._wanted = {"presence": True} if presence else {}
        self._live = live
        self._reached = self._asked = after
        self._events: asyncio.Queue[Event | Exception | None] = asyncio.Queue(_PAGE)
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._ended and self._events.empty():
            raise StopAsyncIteration
        event = await self._events.get()
        if not isinstance(event, dict):
            raise event or StopAsyncIteration
        match event:
            case {"seq": seq}:
                self.position = seq
            case {"type": "presence", "users": users}:
                self.present = set(users)
            case {"type": "joined", "user_id": user}:
                self.present.add(user)
            case {"type": "left", "user_id": user}:
                self.present.discard(user)
        return event

    async def unsubscribe(self) -> None:
        """Follow the stream no longer."""
        await self._live.forget(self)

    def end(self, reason: Exception | None = None) -> None:
        """For the connection: nothing comes after what has come, or what is not read yet is not wanted."""
        if self._ended:
            return
        self._ended = True
        while reason is None and not self._events.empty():
            self._events.get_nowait()
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(reason)

    def asked(self) -> dict[str, Any]:
        """For the connection: what asks for the stream."""
        self._asked = self._reached
        after = {} if self._reached is None else {"after": self._reached}
        return {"type": "subscribe", "stream": self.stream, "client_id": self.stream[:128], **after, **self._wanted}

    async def take(self, event: Event) -> None:
        """For the connection: an event has come."""
        seq = event.get("seq")
        if self._ended or (isinstance(seq, int) and seq <= (self._reached or 0)):
            return
        await self._events.put(event)
        if isinstance(seq, int):
            self._reached = seq

    def caught_up(self, seq: int) -> None:
        """For the connection: there is no more than this. A stream that ends before was restored from a backup."""
        if self._reached is None or seq > self._reached or (self._asked is not None and seq < self._asked):
            self._reached = seq
        if self._events.empty():
            self.position = self._reached

    def missing(self, seq: int) -> int | None:
        """For the connection: after what something is missing up to here; None if nothing is."""
        return self._reached or 0 if not self._ended and (self._reached or 0) < seq else None


class Live:
    """A connection for as long as it is wanted: `async with`."""

    def __init__(self, url: str, token: Token) -> None:
        self._http = url.rstrip("/")
        self._token = token
        self._subscriptions: dict[str, Subscription] = {}
        self._leaving: set[str] = set()
        self._socket: ClientConnection | None = None
        self._running: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._delay: float | None = None
        self._failures = 0

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._running is not None
        self._running.cancel()
        with suppress(asyncio.CancelledError):
            await self._running

    def subscribe(self, stream: str, *, after: int | None = None, presence: bool = False) -> Subscription:
        """Follow a stream: after a position, 0 for all, or what comes from now on. `presence`: be `present` there."""
        if stream in self._subscriptions:
            raise ValueError(f"{stream} is followed already")
        subscription = self._subscriptions[stream] = Subscription(self, stream, after, presence)
        if self._running is None or self._running.done():
            self._end(subscription, Refused("closed", "there is no connection"))
        elif self._socket is not None:
            asking = asyncio.create_task(self._ask(stream))
            self._asking.add(asking)
            asking.add_done_callback(self._asking.discard)
        return subscription

    async def signal(self, stream: str, data: dict[str, Any]) -> None:
        """Tell everybody else on a stream that is followed, once; where that cannot be done, it is lost."""
        await self._say({"type": "signal", "stream": stream, "data": data, "client_id": _SIGNAL})

    async def forget(self, subscription: Subscription) -> None:
        """For a subscription: it is not wanted any longer."""
        stream = subscription.stream
        if self._subscriptions.get(stream) is subscription:
            self._end(subscription)
            self._leaving.add(stream)
            await self._say({"type": "unsubscribe", "stream": stream})

    async def _run(self) -> None:
        reason: Exception | None = None
        try:
            while True:
                try:
                    await self._connection()
                except (OSError, EOFError, InvalidHandshake) as error:
                    self._failed(error)
                except ConnectionClosed as closed:
                    self._closed(closed)
                jitter = random.uniform(0, min(_LONGEST_BOUND, _FIRST_BOUND * 2**self._failures))  # noqa: S311
                await asyncio.sleep(jitter if self._delay is None else self._delay)
                self._failures = min(self._failures + 1, 10)
        except Exception as error:
            reason = error
        finally:
            for subscription in list(self._subscriptions.values()):
                self._end(subscription, reason)

    async def _connection(self) -> None:
        headers = {"Authorization": f"Bearer {await self._next_token()}"}
        self._delay = None
        url = f"{self._http.replace('http', 'ws', 1)}/ws/streams"
        async with open_websocket(url, additional_headers=headers, max_size=None, open_timeout=_PATIENCE) as socket:
            self._leaving.clear()
            self._socket = socket
            try:
                for stream in list(self._subscriptions):
                    await self._ask(stream)
                while True:
                    await self._take(json.loads(await socket.recv()))
            finally:
                self._socket = None

    async def _take(self, message: Event) -> None:
        self._failures = 0
        match message:
            case {"type": "ping"}:
                await self._say({"type": "pong"})
            case {"type": "reconnect"}:
                self._delay = message["delay_ms"] / 1000
            case {"type": "error"}:
                await self._mind(message)
            case {"type": "unsubscribed", "stream": stream}:
                self._leaving.discard(stream)
                await self._ask(stream)
            case {"stream": stream} if stream in self._subscriptions and stream not in self._leaving:
                await self._take_of(self._subscriptions[stream], message)

    async def _take_of(self, subscription: Subscription, message: Event) -> None:
        match message["type"]:
            case "subscribed":
                subscription.caught_up(message["seq"])
            case "history_gap":
                await self._fill(subscription, message["seq"])
            case _:
                await subscription.take(message)

    async def _mind(self, error: Event) -> None:
        stream = error.get("stream") or error.get("client_id") or ""
        if error.get("client_id") == _SIGNAL:
            return
        if error["code"] in _FOR_NOW:
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311
            for leaving in self._leaving:
                await self._say({"type": "unsubscribe", "stream": leaving})
            await self._ask(stream)
        elif stream in self._leaving:
            self._leaving.discard(stream)
            await self._ask(stream)
        elif stream in self._subscriptions and error["code"] != "already_subscribed":
            self._end(self._subscriptions[stream], Refused(error["code"], error["message"]))

    async def _fill(self, subscription: Subscription, end: int) -> None:
        """Fetch what is not sent here; what is sent waits meanwhile."""
        address = f"{self._http}/api/streams/{quote(subscription.stream)}"
        while (after := subscription.missing(end)) is not None:
            token = await self._next_token()
            query = f"?after={after}&limit={_PAGE}"
            try:
                events = (await asyncio.to_thread(_get, address + query, token))["events"]
            except HTTPError as error:
                with error:
                    if error.code in {403, 404}:
                        self._end(subscription, Refused("forbidden", f"{address} was answered with {error.code}"))
                        return
                raise
            for event in events:
                await subscription.take({"stream": subscription.stream, **event})
            if not events:
                subscription.caught_up(end)

    async def _ask(self, stream: str) -> None:
        if stream in self._subscriptions and stream not in self._leaving:
            await self._say(self._subscriptions[stream].asked())

    async def _say(self, message: dict[str, Any]) -> None:
        if self._socket is not None:
            with suppress(ConnectionClosed):  # whoever receives is told too
                await self._socket.send(json.dumps(message))

    def _end(self, subscription: Subscription, reason: Exception | None = None) -> None:
        self._subscriptions.pop(subscription.stream, None)
        subscription.end(reason)

    async def _next_token(self) -> str:
        token = self._token() if callable(self._token) else self._token
        return await token if inspect.isawaitable(token) else token

    def _failed(self, error: Exception) -> None:
        """Whatever passes is tried again."""
        if not isinstance(error, InvalidStatus):
            return
        answer = error.response
        if 400 <= answer.status_code < 429 and not (answer.status_code == 401 and callable(self._token)):
            raise Refused(*_why(bytes(answer.body or b""), f"HTTP {answer.status_code}")) from None
        with suppress(ValueError):
            self._delay = float(answer.headers.get("Retry-After", "")) + random.uniform(0, 1)  # noqa: S311

    def _closed(self, closed: ConnectionClosed) -> None:
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
        if code in _STAY_AWAY or (code == _NEW_TOKEN and not callable(self._token)):
            raise Refused(str(code), reason) from None
        if code in _AT_ONCE and self._failures == 0:
            self._delay = 0


def _get(url: str, token: str) -> Any:
    request = Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - the caller's service
    with urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
        return json.load(answer)


def _why(body: bytes, otherwise: str) -> tuple[str, str]:
    try:
        problem = json.loads(body)
        return str(problem["code"]), str(problem["message"])
    except (ValueError, TypeError, KeyError):
        return "refused", otherwise
