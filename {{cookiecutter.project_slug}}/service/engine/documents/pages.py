"""What people see: the demo page, the JavaScript client, the pages of the documents. Static files, all of it."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

_STATIC = Path(__file__).parent / "static"
_SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"
_POLICY = "default-src 'none'; {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OURS = _POLICY.format("script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'")
_SWAGGER_UIS = _POLICY.format("script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'")

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def demo_page(directory: Path | None, tokens: Callable[[], list[str]]) -> APIRouter:
    """The demo page, for where the demo endpoints are. A developer's own browser gets the `tokens` with it.

    `directory` holds its `index.html` and whatever else the page loads; without one it is a page of the endpoints.
    """
    router = APIRouter(include_in_schema=False)
    _serve(router, "/tokens.js", _STATIC / "tokens.js")
    if directory is None:
        _serve(router, "/", _STATIC / "endpoints.html")
        _serve(router, "/endpoints.js", _STATIC / "endpoints.js")
    else:
        for file in sorted(directory.iterdir()):
            if file.is_file():
                _serve(router, "/" if file.name == "index.html" else f"/{file.name}", file)

    @router.get("/demo-tokens")
    async def demo_tokens(request: Request) -> list[str]:
        return tokens() if _is_from_this_machine(request) else []

    return router


def documents(asyncapi: dict[str, Any]) -> APIRouter:
    """The documents of the HTTP and the WebSocket side, their pages, and the client."""
    router = APIRouter(include_in_schema=False)
    content = json.dumps(asyncapi, ensure_ascii=False).encode()

    @router.get("/asyncapi.json")
    async def document() -> Response:
        return Response(content, media_type="application/json")

    _serve(router, "/asyncapi", _STATIC / "asyncapi.html")
    _serve(router, "/docs", _STATIC / "docs.html", _SWAGGER_UIS)
    for name in ("asyncapi.js", "docs.js", "documents.js", "icon.svg", "style.css"):
        _serve(router, f"/{name}", _STATIC / name)
    for file in sorted(_STATIC.glob("client*.js")):
        _serve(router, f"/{file.name}", file)
    for name in ("swagger-ui-bundle.js", "swagger-ui.css"):
        _serve(router, f"/{name}", _SWAGGER_UI / name)
    return router


def _is_from_this_machine(request: Request) -> bool:
    """Whether a page of ours asks, in a browser that reached us by a name of this machine and by no proxy."""
    headers = request.headers
    return (
        request.client is not None
        and request.client.host in _LOOPBACK
        and request.url.hostname in _LOOPBACK
        and headers.get("sec-fetch-site") == "same-origin"
        and not {"forwarded", "via", "x-forwarded-for"} & set(headers)
    )


def _serve(router: APIRouter, path: str, file: Path, policy: str = _OURS) -> None:
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": policy}

    @router.get(path)
    async def static_file() -> FileResponse:
        return FileResponse(file, headers=headers)
