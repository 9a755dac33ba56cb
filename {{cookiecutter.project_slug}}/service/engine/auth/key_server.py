"""Asking an identity provider's key server: within a time and a size, and with a reason when it does not help."""

import asyncio
import json
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from time import monotonic
from typing import Any
from urllib.error import HTTPError

from service.engine.foundation.project import read_project

_FETCH_SECONDS = 5.0
_LARGEST_SET = 262_144


class KeyServerError(Exception):
    """It did not help. The message says why, and repeats neither the address nor what was answered."""


class KeyServer:
    """The one at an address."""

    def __init__(self, url: str) -> None:
        project = read_project()
        self._request = urllib.request.Request(url)  # noqa: S310 - the settings have seen to its scheme
        self._request.add_header("User-Agent", f"{project.name}/{project.version}")  # some refuse urllib's own
        self._request.add_header("Accept", "application/json, application/jwk-set+json, */*;q=0.5")

    async def ask(self) -> Any:
        """The document there.

        Raises:
            KeyServerError: There is none to be had.
        """
        try:
            async with asyncio.timeout(2 * _FETCH_SECONDS):
                return await _in_a_thread(self._fetch)
        except TimeoutError:
            raise KeyServerError("no answer in time") from None
        except HTTPException:
            raise KeyServerError("its answer is not HTTP") from None
        except OSError as error:
            raise KeyServerError(str(getattr(error, "reason", error))) from None
        except (ValueError, RecursionError):
            raise KeyServerError("its answer is not JSON, or too large") from None

    def _fetch(self) -> Any:
        deadline = monotonic() + _FETCH_SECONDS
        document = b""
        try:
            response = urllib.request.build_opener(_NoRedirects).open(self._request, timeout=_FETCH_SECONDS)
        except HTTPError as refusal:
            refusal.close()  # it is the answer too, with the connection that this came on
            where = ", and redirects are not followed" if refusal.code in range(300, 400) else ""
            raise KeyServerError(f"it answers with HTTP status {refusal.code}{where}") from None
        with response:
            while part := response.read1(_LARGEST_SET):
                document += part
                if len(document) > _LARGEST_SET:
                    raise ValueError
                if monotonic() > deadline:
                    raise TimeoutError
        return json.loads(document)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead away from the provider, or from https."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


async def _in_a_thread(work: Callable[[], Any]) -> Any:
    """Wait for it, as long as anybody wants to know: unlike those of `asyncio.to_thread`, the thread delays no stop."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(outcome: Any, error: Exception | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(outcome)

    def run() -> None:
        outcome, failure = None, None
        try:
            outcome = work()
        except Exception as error:  # raised where it is waited for
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, outcome, failure)

    threading.Thread(target=run, daemon=True).start()
    return await done
