"""Is the process alive, is it ready for clients, and how is it doing?"""

from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from service.engine.endpoints.service_app import app_of, runtime_of

router = APIRouter()


class Ready(BaseModel):
    """Whether the process is ready, and if not, what has failed and why."""

    status: Literal["ok", "unavailable"]
    failed: dict[str, str]


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "What is not ready", "model": Ready}})
async def ready(request: Request, response: Response) -> Ready:
    """The database and the broker answer, and the process is not stopping."""
    failed = await app_of(request).readiness.failures()
    if failed:
        response.status_code = 503
    return Ready(status="unavailable" if failed else "ok", failed=failed)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Prometheus metrics of all processes that serve this address."""
    return Response(runtime_of(request).metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
