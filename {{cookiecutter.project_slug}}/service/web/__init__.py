"""The demo page: static files, served next to the demo endpoints."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)


def _serve(path: str, file: str) -> None:
    @router.get(path)
    async def page() -> FileResponse:
        return FileResponse(_HERE / file, headers=_HEADERS)


_serve("/", "index.html")
_serve("/page.css", "page.css")
_serve("/page.js", "page.js")
