"""Which services may be loaded: this machine's and staging. Load on anybody else's is an attack."""

import re
from pathlib import Path
from urllib.parse import urlsplit

_STAGING = Path(__file__).resolve().parents[2] / "infra" / "staging.tfvars"
_HERE = {"localhost", "127.0.0.1", "::1"}


def is_here(url: str) -> bool:
    """Whether a service is on this machine."""
    return urlsplit(url).hostname in _HERE


def objection(url: str | None) -> str | None:
    """What is wrong with loading this service, in one line, or None."""
    if not url:
        return "no service to load: give its address with --host http://…"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return f"{url} is not an address such as http://127.0.0.1:8000"
    staging = _staging_host()
    if is_here(url) or parts.hostname == staging:
        return None
    allowed = f"localhost or {staging}" if staging else "localhost (infra/staging.tfvars names no domain)"
    return f"{parts.hostname} is not {allowed}: if you may load it, say so with --force"


def _staging_host() -> str | None:
    text = _STAGING.read_text(encoding="utf-8") if _STAGING.exists() else ""
    found = re.search(r'^domain_name\s*=\s*"([a-z0-9.-]+)"', text, re.MULTILINE)
    return found[1] if found else None
