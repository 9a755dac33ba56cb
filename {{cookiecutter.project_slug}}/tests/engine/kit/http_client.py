"""HTTP requests to a service under test: in plain text, and whatever proxy the shell knows of plays no part."""

import ssl
from typing import Any

import httpx

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""One for all: httpx reads every authority of this machine for each client, which takes it 20 ms."""


def http_client(address: str = "", **options: Any) -> httpx.AsyncClient:
    """A client of what listens at `address`: `async with http_client(service.http) as http`."""
    return httpx.AsyncClient(base_url=address, trust_env=False, verify=NO_TLS, **options)


def http_request(method: str, address: str, **options: Any) -> httpx.Response:
    """One request, which blocks: inside a test's event loop use `http_client`."""
    return httpx.request(method, address, trust_env=False, verify=NO_TLS, **options)
