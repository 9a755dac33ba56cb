"""The server: gunicorn keeps the processes, uvicorn serves in each, and a stop signal drains before it stops."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import FastAPI
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from uvicorn import Server
from uvicorn_worker import UvicornWorker

from service.observability.logs import configure_logging
from service.realtime.uvicorn_check import check_uvicorn
from service.realtime.uvicorn_http import BoundedHttpProtocol
from service.realtime.uvicorn_link import link_class
from service.settings import Settings

_GRACE_SECONDS = 5
"""How much longer than `DRAIN_SECONDS` a process may take to end."""
_HANG_SECONDS = 120
"""From how long a blocked event loop on gunicorn takes the process for hung and starts another."""
_LAST_REQUESTS_SECONDS = 1


def serve(settings: Settings) -> None:
    """Serve until a signal says stop. Does not return."""
    check_uvicorn()
    with _metrics_directory(settings):
        import service.app  # noqa: F401, PLC0415 - before the workers are forked, which then share it

        _Gunicorn(settings).run()


class _Gunicorn(BaseApplication):
    """gunicorn, configured by our settings instead of its own files and flags."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        assert isinstance(self.cfg, Config)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        values = {
            "bind": f"{host}:{settings.port}",
            "workers": settings.web_concurrency,
            "worker_class": _worker_class(settings),
            "logger_class": _logger_class(settings),
            "loglevel": settings.log_level.lower(),
            "timeout": _HANG_SECONDS,
            "graceful_timeout": int(settings.drain_seconds + _GRACE_SECONDS),
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - memory, not disk
            "control_socket_disable": True,
            "child_exit": _forget_metrics_of,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> FastAPI:
        from service.app import create_app  # noqa: PLC0415 - after the metrics directory is known

        return create_app(self._settings)


class _DrainingServer(Server):
    """uvicorn's server, which drains before it stops.

    uvicorn closes everything at once and ends the lifespan after that, too late to say goodbye; so the drain starts
    where the signal arrives, and the stop is put off until it is over.
    """

    drain_seconds: float
    parent: int
    _drain: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Drain on SIGTERM, however often it comes; go at once on an interactive stop."""
        asyncio.get_running_loop().call_soon_threadsafe(self._stop, sig == signal.SIGTERM)

    async def on_tick(self, counter: int) -> bool:
        """Also stop when gunicorn is gone: nobody else would ever end this process."""
        if os.getppid() != self.parent:
            self._stop(patiently=True)
        return await super().on_tick(counter)

    def _stop(self, patiently: bool) -> None:
        if self._drain is not None:
            self.should_exit = self.should_exit or not patiently
            return
        seconds = self.drain_seconds if patiently else 0.0
        app = self.config.app
        assert isinstance(app, FastAPI)
        self._drain = asyncio.create_task(app.state.engine.drain(seconds), context=Context())
        self._drain.add_done_callback(self._drained)

    def _drained(self, drain: asyncio.Task[None]) -> None:
        self.should_exit = True
        drain.result()


def _worker_class(settings: Settings) -> type[UvicornWorker]:
    class LiveWorker(UvicornWorker):
        """One process."""

        CONFIG_KWARGS = {  # noqa: RUF012 - uvicorn-worker's name for it
            "loop": "uvloop",
            "http": BoundedHttpProtocol,
            "ws": link_class(settings.max_outbox_bytes, settings.longest_silence),
            "ws_max_size": settings.max_message_bytes,
            "ws_per_message_deflate": False,
            "ws_ping_interval": None,
            "access_log": False,
            "server_header": False,
            "timeout_graceful_shutdown": _LAST_REQUESTS_SECONDS,
        }

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            logging.getLogger("uvicorn.error").propagate = True  # to our handler; gunicorn's logger has none

        async def _serve(self) -> None:
            self.config.app = self.wsgi
            _spare_the_collector()
            server = _DrainingServer(self.config)
            server.drain_seconds = settings.drain_seconds
            server.parent = self.ppid
            asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, server.handle_exit, signal.SIGQUIT, None)
            await server.serve(sockets=self.sockets)
            if not server.started:
                sys.exit(Arbiter.WORKER_BOOT_ERROR)

        def run(self) -> None:
            super().run()
            self.log.info("Worker exiting (pid: %s)", self.pid)
            logging.shutdown()
            os._exit(0)  # all is closed; taking the interpreter apart after 10,000 connections takes seconds

    return LiveWorker


def _spare_the_collector() -> None:
    """Let the garbage collector overlook what stays for ever, and look less often at what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def _logger_class(settings: Settings) -> type[Logger]:
    class StructuredLogger(Logger):
        """gunicorn's lines, through our handler."""

        def setup(self, _cfg: Config) -> None:
            configure_logging(settings)
            self.error_log.propagate = True
            self.error_log.setLevel(settings.log_level)
            self.access_log.disabled = True

    return StructuredLogger


@contextmanager
def _metrics_directory(settings: Settings) -> Iterator[None]:
    """Where several processes add up their metrics; prometheus-client reads the variable when it is imported."""
    if settings.web_concurrency == 1:
        yield
        return
    directory = os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="metrics-")
    try:
        yield
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _forget_metrics_of(_server: Any, worker: Worker) -> None:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - see `_metrics_directory`

        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
