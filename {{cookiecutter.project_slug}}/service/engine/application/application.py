"""An application, as its team declares it, and the ASGI application that the engine makes of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.telemetry import TelemetryConfig

from service.engine.application.development import signs_with_own_key, with_secret_key
from service.engine.application.handshakes import Handshakes
from service.engine.application.observed import ObservedHandshakes, ObservedRequests
from service.engine.auth.tokens import demo_tokens
from service.engine.delivery.postgres import PostgresBroker
from service.engine.delivery.valkey import ValkeyBroker
from service.engine.documents import asyncapi, openapi, pages
from service.engine.endpoints import demo, health, many_streams, ping
from service.engine.endpoints.access import access
from service.engine.endpoints.cross_origin import CrossOrigin
from service.engine.endpoints.errors import answer_problems, bad_request, not_found
from service.engine.endpoints.http import BodyLimit, HeadAsGet, LastAnswers, SafeHeaders, WellFormed
from service.engine.endpoints.service_app import ServiceApp
from service.engine.endpoints.streams import ways_of
from service.engine.foundation.metrics import Metrics
from service.engine.foundation.operations import Around, nested
from service.engine.foundation.project import Project, read_project
from service.engine.foundation.settings import Settings, load_settings
from service.engine.observability import outlets
from service.engine.observability.cloudwatch import CloudWatch
from service.engine.observability.logs import configure_logging
from service.engine.observability.outlets import Outlet
from service.engine.observability.requests import RequestLog
from service.engine.process.readiness import Readiness
from service.engine.process.runtime import Runtime
from service.engine.storage.channels import home
from service.engine.storage.database import Database
from service.engine.streams.broker import Broker
from service.engine.streams.stream import Stream
from service.engine.streams.streams import Streams

Seed = Callable[[Streams, Database], Awaitable[None]]

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own spans have the query string of a request, which may hold a token."""


@dataclass(frozen=True, kw_only=True)
class Application:
    """What the engine is given.

    - `settings`: the engine's, or a subclass with settings of one's own.
    - `streams` and `endpoints`: all there are. Routers, in the order in which they are looked through.
    - `migrations`: the directory of one's own migrations.
    - `page`: a directory whose `index.html` is the demo page and whose scripts it loads; without one, the page shows
      the endpoints. Served where the demo is on.
    - `demo_path`, `demo_scopes`: where the client line of `make run` connects to, and what the tokens of its two users
      allow.
    - `around`: what is around every operation (`foundation.operations`), the first outermost.
    - `seed`: in development, what is in the database from the start; called at each start, after migrating.
    """

    settings: type[Settings] = Settings
    streams: Sequence[Stream[Any]] = ()
    endpoints: Sequence[APIRouter] = ()
    migrations: Path | None = None
    page: Path | None = None
    demo_path: str = "/ws/ping"
    demo_scopes: Sequence[str] = ()
    around: Sequence[Around] = ()
    seed: Seed | None = None

    def routers(self, *, demo_endpoints: bool) -> list[APIRouter]:
        """Everything that is described by documents: the application's endpoints, and those that every service has."""
        return [*self.endpoints, many_streams.router, ping.router, access(), *([demo.router] if demo_endpoints else [])]

    def asyncapi(self, *, demo_endpoints: bool) -> dict[str, Any]:
        """The AsyncAPI document."""
        return asyncapi.document(read_project(), self.routers(demo_endpoints=demo_endpoints), self.streams)

    def create(self, settings: Settings | None = None) -> FastAPI:
        """The ASGI application. Without arguments it reads the environment, for servers that take a factory.

        Raises:
            SettingsError: The settings cannot work.
            DeclarationError: A stream's declaration cannot work.
        """
        settings = with_secret_key(settings or load_settings(self.settings))
        configure_logging(settings)
        project = read_project()
        observers = outlets.switched_on(settings, project)
        runtime = _runtime(self, settings, project, observers)

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            async with runtime.running():
                yield
            await runtime.database.close()
            await outlets.close(observers)

        app = ServiceApp(
            title=project.name,
            description=project.description,
            version=project.version,
            lifespan=lifespan,
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
            telemetry=_NO_TELEMETRY,
        )
        app.runtime = runtime
        app.readiness = Readiness(runtime)
        _wrap(app, runtime)
        described = self.routers(demo_endpoints=settings.demo)
        for router in [health.router, *described, ways_of(self.streams), *self._pages(settings)]:
            app.include_router(router)
        openapi.describe_problems(app)
        return app

    @asynccontextmanager
    async def opened(
        self, settings: Settings | None = None, *, observed: bool = True
    ) -> AsyncIterator[tuple[Streams, Database]]:
        """Streams and database outside the service: for a worker, a scheduled job, a script.

        `observed`: with traces and error reports, where they are switched on.

        Raises:
            SettingsError: The settings cannot work.
            DeclarationError: A stream's declaration cannot work.
        """
        settings, project = settings or load_settings(self.settings), read_project()
        observers = outlets.switched_on(settings, project) if observed else ()
        runtime = _runtime(self, settings, project, observers)
        try:
            async with runtime.broker.publishing():
                yield Streams(runtime.streams), runtime.database
        finally:
            await runtime.database.close()
            await outlets.close(observers)

    def _pages(self, settings: Settings) -> list[APIRouter]:
        found = [pages.documents(self.asyncapi(demo_endpoints=settings.demo))]
        if settings.demo:

            def tokens() -> list[str]:
                return demo_tokens(settings, self.demo_scopes) if signs_with_own_key(settings) else []

            found.append(pages.demo_page(self.page, tokens))
        return found


def _runtime(application: Application, settings: Settings, project: Project, observers: Sequence[Outlet]) -> Runtime:
    metrics = Metrics()
    database = Database(settings, metrics)
    broker = _broker(settings, metrics, project, database)
    report = CloudWatch(settings, metrics).observe
    return Runtime(
        settings=settings,
        metrics=metrics,
        database=database,
        broker=broker,
        streams=application.streams,
        report=report,
        around=nested([*(outlet.around for outlet in observers), *application.around]),
    )


def _broker(settings: Settings, metrics: Metrics, project: Project, database: Database) -> Broker:
    if settings.valkey_url is None:
        return PostgresBroker(database.url, metrics)

    async def whose() -> str:
        return f"{project.name}:{settings.environment}:{await home(database)}:"

    return ValkeyBroker(settings.valkey_url.get_secret_value(), metrics, whose)


def _wrap(app: ServiceApp, runtime: Runtime) -> None:
    """What every request, handshake and answer goes through, the innermost first."""
    if runtime.around is not None:
        app.add_middleware(ObservedRequests, around=runtime.around)
    answer_problems(app)
    app.add_middleware(BodyLimit, most=runtime.settings.max_message_bytes)
    app.add_middleware(HeadAsGet)
    app.add_middleware(WellFormed, bad_request=bad_request, not_found=not_found)
    if runtime.settings.allowed_origins:
        app.add_middleware(CrossOrigin, allowed=runtime.settings.allowed_origins)
    app.add_middleware(LastAnswers, connections=runtime.connections)
    app.add_middleware(SafeHeaders, https=not runtime.settings.is_development)
    app.add_middleware(RequestLog, metrics=runtime.metrics)
    app.handshakes = Handshakes(app.usual, https=not runtime.settings.is_development)
    if runtime.around is not None:
        app.handshakes = ObservedHandshakes(app.handshakes, around=runtime.around)
