"""The server: gunicorn keeps the processes, uvicorn serves in each, and a stop signal drains before it stops."""

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
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
from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead
from uvicorn import Server
from uvicorn_worker import UvicornWorker

from service.engine.application.application import Application
from service.engine.application.listening import Listener
from service.engine.application.stopping import STOP_SIGNALS
from service.engine.endpoints.service_app import ServiceApp
from service.engine.foundation.settings import Settings
from service.engine.link.arrival import Arrivals
from service.engine.link.socket_link import link_class
from service.engine.link.upgrade import check_uvicorn
from service.engine.observability.descriptors import DescriptorWatch, make_room_for
from service.engine.observability.logs import configure_logging

_GRACE_SECONDS = 5
"""How much longer than `DRAIN_SECONDS` a process may take to end."""
_HANG_SECONDS = 120
"""From how long a blocked event loop on gunicorn takes the process for hung and starts another."""
_LAST_REQUESTS_SECONDS = 1
_METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


Work = Callable[[], None]


def serve(
    application: Application,
    settings: Settings,
    listener: Listener,
    *,
    ready: Work | None = None,
    meanwhile: Work | None = None,
) -> None:
    """Serve until a signal says stop. Does not return.

    `ready` is called before the first process starts, `meanwhile` in a thread of it, where it may take its time.
    """
    check_uvicorn()
    _Gunicorn(application, settings, listener, ready, meanwhile).run()


@contextmanager
def metrics_directory(processes: int) -> Iterator[None]:
    """Where several processes add up their metrics; whatever makes a metric has to be imported in the block.

    prometheus-client decides by a variable how it counts, when it is imported: https://prometheus.github.io/client_python/multiprocess/
    """
    for name in (_METRICS_DIRECTORY, _METRICS_DIRECTORY.lower()):  # somebody else's
        os.environ.pop(name, None)
    directory = tempfile.mkdtemp(prefix="metrics-") if processes > 1 else None
    if directory is not None:
        os.environ[_METRICS_DIRECTORY] = directory
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call] # it was imported before
    try:
        yield
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


class _Gunicorn(BaseApplication):
    """gunicorn, configured by our settings instead of its own files and flags."""

    def __init__(
        self,
        application: Application,
        settings: Settings,
        listener: Listener,
        ready: Work | None,
        meanwhile: Work | None,
    ) -> None:
        self._application = application
        self._settings = settings
        self._listener = listener
        self._ready = ready
        self._meanwhile = meanwhile
        super().__init__()

    def load_config(self) -> None:
        settings = self._settings
        assert isinstance(self.cfg, Config)
        values = {
            "workers": settings.web_concurrency,
            "worker_class": _worker_class(settings, self._meanwhile),
            "logger_class": _logger_class(settings),
            "loglevel": settings.log_level.lower(),
            "timeout": _HANG_SECONDS,
            "graceful_timeout": int(settings.drain_seconds + _GRACE_SECONDS),
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - memory, not disk
            "control_socket_disable": True,
            "child_exit": _forget_metrics_of,
            "when_ready": self._when_ready,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> FastAPI:
        return self._application.create(self._settings)

    def run(self) -> None:
        _Master(self, self._listener).run()

    def _when_ready(self, _master: Arbiter) -> None:
        if self._ready is not None:
            self._ready()


class _Master(Arbiter):
    """gunicorn's master, on a socket that is there already."""

    def __init__(self, application: _Gunicorn, listener: Listener) -> None:
        super().__init__(application)
        # A socket, not gunicorn's wrapper of one: uvloop closes it, and the wrapper would try once more.
        self.LISTENERS = [listener]  # type: ignore[misc, list-item]
        self._had_terminal = _has_terminal()

    def init_signals(self) -> None:
        hanging_up = signal.getsignal(signal.SIGHUP)
        super().init_signals()
        if hanging_up is signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_hup(self) -> None:
        """Whoever sends this asks for new processes. A terminal that closes sends it too, and ends what ran in it."""
        if self._had_terminal and not _has_terminal():
            self.handle_quit()
        else:
            super().handle_hup()

    def spawn_worker(self) -> int:
        """Let a signal wait that would come to a new process before it can know what to do with it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            pid: int = super().spawn_worker()
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


class _DrainingServer(Server):
    """uvicorn's server, which drains before it stops.

    uvicorn closes everything at once and ends the lifespan after that, too late to say goodbye; so the drain starts
    where the signal arrives, and the stop is put off until it is over.
    """

    drain_seconds: float
    parent: int
    _drain: asyncio.Task[None] | None = None
    _descriptors = DescriptorWatch()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Drain on SIGTERM, however often it comes; go at once on an interactive stop."""
        asyncio.get_running_loop().call_soon_threadsafe(self._stop, sig == signal.SIGTERM)

    async def on_tick(self, counter: int) -> bool:
        """Also stop when gunicorn is gone: nobody else would ever end this process."""
        self._descriptors.look()
        if os.getppid() != self.parent:
            self._stop(patiently=True)
        return await super().on_tick(counter)

    def _stop(self, patiently: bool) -> None:
        if self._drain is not None:
            self.should_exit = self.should_exit or not patiently
            return
        seconds = self.drain_seconds if patiently else 0.0
        app = self.config.app
        assert isinstance(app, ServiceApp)
        self._drain = asyncio.create_task(app.runtime.drain(seconds), context=Context())
        self._drain.add_done_callback(self._drained)

    def _drained(self, drain: asyncio.Task[None]) -> None:
        self.should_exit = True
        drain.result()


def _worker_class(settings: Settings, meanwhile: Work | None) -> type[UvicornWorker]:
    class LiveWorker(UvicornWorker):
        """One process."""

        CONFIG_KWARGS = {  # noqa: RUF012 - uvicorn-worker's name for it
            "loop": "uvloop",
            "http": Arrivals(link_class(settings.max_outbox_bytes, settings.max_message_bytes)),
            "ws": "none",  # the class above sees to them
            "access_log": False,
            "server_header": False,
            "timeout_keep_alive": settings.keep_alive,
            "forwarded_allow_ips": "*" if "*" in settings.forwarded_allow_ips else list(settings.forwarded_allow_ips),
            "reset_contextvars": True,  # or a request would find what the one before on its connection has left
            "timeout_graceful_shutdown": _LAST_REQUESTS_SECONDS,
        }

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            logging.getLogger("uvicorn.error").propagate = True  # to our handler; gunicorn's logger has none

        def init_signals(self) -> None:
            super().init_signals()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal tells all; what follows is for the master to say
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

        async def _serve(self) -> None:
            self.config.app = self.wsgi
            if meanwhile is not None and self.age == 1:
                threading.Thread(target=meanwhile, daemon=True).start()
            _spare_the_collector()
            make_room_for(settings.max_connections)
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
    gc.set_threshold(10_000, 100, 10)


def _logger_class(settings: Settings) -> type[Logger]:
    class StructuredLogger(Logger):
        """gunicorn's lines, through our handler."""

        def setup(self, _cfg: Config) -> None:
            configure_logging(settings)
            self.error_log.propagate = True
            self.error_log.setLevel(settings.log_level)
            self.access_log.disabled = True

    return StructuredLogger


def _forget_metrics_of(_server: Any, worker: Worker) -> None:
    if _METRICS_DIRECTORY in os.environ:
        mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
