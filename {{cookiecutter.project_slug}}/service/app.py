"""The application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from psycopg.conninfo import conninfo_to_dict

from service import asyncapi, openapi, web
from service.auth.tokens import demo_tokens
from service.database import Database
from service.development import signs_with_own_key, with_secret_key
from service.endpoints import health, routers
from service.errors import answer_problems, not_found
from service.http import BodyLimit, ExactPaths, SafeHeaders
from service.observability.logs import configure_logging
from service.observability.metrics import Metrics
from service.observability.requests import RequestLog
from service.project import Project, read_project
from service.readiness import Readiness
from service.realtime.broker import Broker
from service.realtime.broker.postgres import PostgresBroker
from service.realtime.broker.valkey import ValkeyBroker
from service.realtime.engine import Engine
from service.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The ASGI application. Without arguments it reads the environment, for servers that take a factory.

    Raises:
        SettingsError: The settings cannot work.
    """
    settings = with_secret_key(settings or load_settings())
    configure_logging(settings)
    metrics = Metrics()
    database = Database(settings, metrics)
    project = read_project()
    engine = Engine(settings, metrics, database, _broker(settings, metrics, project))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with engine.running():
            yield
        await database.close()

    app = FastAPI(
        title=project.name,
        description=project.description,
        version=project.version,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.engine = engine
    app.state.readiness = Readiness(engine)
    answer_problems(app)
    app.add_middleware(BodyLimit, most=settings.max_message_bytes)
    app.add_middleware(ExactPaths, not_found=not_found)
    app.add_middleware(SafeHeaders, https=not settings.is_development)
    app.add_middleware(RequestLog, metrics=metrics)
    endpoints = routers(demo=settings.demo)
    pages = [web.documents(asyncapi.document(project, endpoints))]
    if settings.demo:
        pages.append(web.demo_page(lambda: demo_tokens(settings) if signs_with_own_key(settings) else []))
    for router in [health.router, *endpoints, *pages]:
        app.include_router(router)
    openapi.describe_problems(app)
    return app


def _broker(settings: Settings, metrics: Metrics, project: Project) -> Broker:
    assert settings.database_url is not None
    database_url = settings.database_url.get_secret_value()
    if settings.valkey_url is None:
        return PostgresBroker(database_url, metrics)
    prefix = f"{project.name}:{settings.environment}:{conninfo_to_dict(database_url).get('dbname', '')}:"
    return ValkeyBroker(settings.valkey_url.get_secret_value(), metrics, prefix)
