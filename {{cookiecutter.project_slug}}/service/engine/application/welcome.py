"""What `make run` prints once it listens: where the page is, a token, and a line that connects."""

import shlex
import sys

from service.engine.application.application import Application
from service.engine.application.development import signs_with_own_key
from service.engine.auth.tokens import demo_tokens
from service.engine.foundation.settings import Settings

_THIS_MACHINE = {"0.0.0.0", "::", "127.0.0.1", "::1", "localhost"}  # noqa: S104 - what is compared with


def welcome(application: Application, settings: Settings, port: int) -> str:
    """The lines, for a developer whose tokens are signed here; others make their own."""
    if not settings.secret_keys:
        return ""
    token, other = demo_tokens(settings, application.demo_scopes)
    host = settings.host.strip("[]")
    near = host in _THIS_MACHINE
    address = f"localhost:{port}" if near else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asks_itself = near and signs_with_own_key(settings)
    page = f"http://{address}/" + ("" if asks_itself else f"#token={token}&token={other}")
    client = [sys.executable, "-m", "websockets", f"ws://{address}{application.demo_path}?token={token}"]
    lines = [f"  Token   {token}", f"  Client  {shlex.join(client)}"]
    if settings.demo:
        lines.insert(0, f"  Page    {page}")
    return "\n".join(["", *lines, ""])
