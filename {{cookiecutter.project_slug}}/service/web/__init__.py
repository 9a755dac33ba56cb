"""What people see: the demo page, the JavaScript client, the pages of the two documents. Static files, all of it."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

_HERE = Path(__file__).parent
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_POLICY = "default-src 'none'; {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OURS = _POLICY.format("script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'")
_SWAGGER_UIS = _POLICY.format("script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'")


def demo_page() -> APIRouter:
    """The demo page, for where the demo endpoints are."""
    router = APIRouter(include_in_schema=False)
    _serve(router, "/", _HERE / "index.html")
    _serve(router, "/page.js", _HERE / "page.js")
    return router


def documents(asyncapi: dict[str, Any]) -> APIRouter:
    """The documents of the HTTP and the WebSocket side, their pages, and the client."""
    router = APIRouter(include_in_schema=False)
    content = json.dumps(asyncapi, ensure_ascii=False).encode()

    @router.get("/asyncapi.json")
    async def document() -> Response:
        return Response(content, media_type="application/json")

    _serve(router, "/asyncapi", _HERE / "asyncapi.html")
    _serve(router, "/docs", _HERE / "docs.html", _SWAGGER_UIS)
    for name in ("asyncapi.js", "client.js", "docs.js", "icon.svg", "style.css"):
        _serve(router, f"/{name}", _HERE / name)
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        _serve(router, f"/{name}", _SWAGGER_UI / name)
    return router


def _serve(router: APIRouter, path: str, file: Path, policy: str = _OURS) -> None:
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}

    @router.get(path)
    async def static_file() -> FileResponse:
        return FileResponse(file, headers=headers)
