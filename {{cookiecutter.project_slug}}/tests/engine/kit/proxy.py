"""A proxy between clients and a service that passes HTTP on, and WebSockets only while a test lets it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Literal

from tests.engine.kit.running import HOST, Service

Sockets = Literal["pass", "refuse", "swallow"]
_REFUSAL = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_BUFFER = 65_536


class Proxy(ThreadingTCPServer):
    """`allow` says what becomes of WebSockets: `swallow` lets them in, and nothing that is said through."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, service: Service) -> None:
        super().__init__((HOST, 0), _Passage)
        self.http = f"http://{HOST}:{self.server_address[1]}"
        self.service = (HOST, service.port)
        self.sockets: Sockets = "pass"
        self.open: set[socket.socket] = set()
        """WebSockets, both ends of each."""

    def allow(self, sockets: Sockets) -> None:
        """From now on. Open ones are cut."""
        self.sockets = sockets
        for end in list(self.open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class _Passage(BaseRequestHandler):
    """One connection: requests, and at last maybe a handshake: Node begins WebSockets on connections that it has."""

    server: Proxy
    request: socket.socket
    _is_swallowed = _is_answered = False

    def handle(self) -> None:
        with suppress(OSError), socket.create_connection(self.server.service) as service:
            ends = {self.request, service}
            answers = threading.Thread(target=self._answer, args=[service], daemon=True)
            answers.start()
            with suppress(OSError):
                self._ask(service)
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            answers.join()
            self.server.open -= ends

    def _ask(self, service: socket.socket) -> None:
        while data := self.request.recv(_BUFFER):
            if b"upgrade: websocket" in data.lower():
                if self.server.sockets == "refuse":
                    self.request.sendall(_REFUSAL)
                    return
                self._is_swallowed = self.server.sockets == "swallow"
                self.server.open |= {self.request, service}
            elif self._is_swallowed:
                continue
            service.sendall(data)

    def _answer(self, service: socket.socket) -> None:
        with suppress(OSError):
            while data := service.recv(_BUFFER):
                if not (self._is_swallowed and self._is_answered):
                    self._is_answered = self._is_swallowed
                    self.request.sendall(data)
            self.request.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_of(service: Service) -> Iterator[Proxy]:
    """A proxy in front of a service."""
    with Proxy(service) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=[0.05], daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        proxy.allow("refuse")
        thread.join()
