"""Real nginx, HAProxy and Caddy in front of a service, configured as our guide says."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.engine.kit.commands import PROJECT
from tests.engine.kit.http_client import http_request
from tests.engine.kit.markdown import blocks
from tests.engine.kit.programs import find_program
from tests.engine.kit.running import HOST, Service, free_port
from tests.engine.kit.waiting import wait_until

GUIDE = PROJECT / "docs" / "proxies.md"
LISTENING = {
    "nginx": ("listen 80;", "listen {}:{};"),
    "haproxy": ("bind :80", "bind {}:{}"),
    "caddy": (":80 {", "http://{}:{} {{"),
}
AROUND_THE_GUIDE = {
    "nginx": """
        daemon off;
        master_process off;
        pid {here}/pid;
        events {{ }}
        http {{
            access_log off;
            client_body_temp_path {here}/client_body;
            proxy_temp_path {here}/proxy;
            fastcgi_temp_path {here}/fastcgi;
            uwsgi_temp_path {here}/uwsgi;
            scgi_temp_path {here}/scgi;
            {guide}
        }}
    """,
    "haproxy": "global\n    nbthread 1\n    maxconn 200\n{guide}",
    "caddy": "{{\n    admin off\n}}\n{guide}",
}
IN_THE_FOREGROUND = {
    "nginx": ["-e", "stderr", "-c"],
    "haproxy": ["-db", "-f"],
    "caddy": ["run", "--adapter", "caddyfile", "--config"],
}


@dataclass
class RealProxy:
    """One that runs, and where it listens."""

    program: str
    port: int
    service: Service
    process: subprocess.Popen[bytes]

    def kept(self) -> int:
        """Connections to the service that it holds."""
        found = psutil.Process(self.process.pid).net_connections("tcp")
        return sum(bool(each.raddr) and each.raddr.port == self.service.port for each in found)

    @property
    def http(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://{HOST}:{self.port}"


@contextmanager
def in_front_of(
    service: Service, program: str, here: Path, changes: Mapping[str, str] | None = None
) -> Iterator[RealProxy]:
    """A proxy that is up while the block runs; `changes` replace words of the guide."""
    path, port, here = find_program(program), free_port(), here / "proxy"
    assert path is not None, f"mark the test with needs({program!r})"
    (guide,) = [block.text for block in blocks(GUIDE, program)]
    listens, listens_here = LISTENING[program]
    for old, new in {
        listens: listens_here.format(HOST, port),
        f"{HOST}:8000": f"{HOST}:{service.port}",
        **(changes or {}),
    }.items():
        assert guide.count(old) == 1, f"the guide does not say {old}"
        guide = guide.replace(old, new)
    here.mkdir()
    configuration = here / "configuration"
    configuration.write_text(AROUND_THE_GUIDE[program].format(here=here, guide=guide))
    with (here / "log").open("w") as log:
        command = [path, *IN_THE_FOREGROUND[program], str(configuration)]
        keeps = {"XDG_CONFIG_HOME": str(here), "XDG_DATA_HOME": str(here)}  # what Caddy would keep in a home
        process = subprocess.Popen(command, cwd=here, env=os.environ | keeps, stdout=log, stderr=log)
    try:
        proxy = RealProxy(program, port, service, process)
        wait_until(lambda: is_up(proxy, here / "log"), f"{program} listens")
        yield proxy
    finally:
        process.terminate()
        process.wait(10)


def is_up(proxy: RealProxy, log: Path) -> bool:
    assert proxy.process.poll() is None, log.read_text()
    try:
        return http_request("GET", f"{proxy.http}/healthz").status_code == 200
    except httpx.TransportError:
        return False
