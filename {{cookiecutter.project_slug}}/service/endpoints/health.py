"""Is the process alive, is it ready for clients, and how is it doing?"""

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from service.readiness import Readiness
from service.realtime.router import engine_of

router = APIRouter()


@router.get("/healthz")
async def alive() -> dict[str, str]:
    """The event loop turns."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "What is not ready"}})
async def ready(request: Request) -> JSONResponse:
    """The database and the broker answer, and the process is not stopping."""
    readiness: Readiness = request.app.state.readiness
    failed = await readiness.failures()
    if failed:
        return JSONResponse({"status": "unavailable", "failed": failed}, status_code=503)
    return JSONResponse({"status": "ok", "failed": {}})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus metrics of all processes that serve this address."""
    return Response(engine_of(request).metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
