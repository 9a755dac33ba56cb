"""Error reports by Sentry: every bug once, with whose it was and on which connection, without what was said.

Imported only where it is switched on (`outlets`).
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.types import Event, Hint

from service.engine.foundation.operations import Operation
from service.engine.foundation.problems import Problem
from service.engine.observability.logs import redact

_QUERY = re.compile(r"\?[^\s\"'<>]{1,8192}")
_NOTHING = nullcontext()
_OWN_LOGGERS = ("opentelemetry", "sentry_sdk", "urllib3")


class ErrorReports:
    """The reports of one process, on their way to a receiver which may be slow or away: nobody waits for it."""

    def __init__(self, environment: str, release: str) -> None:
        sentry_sdk.init(
            environment=environment,
            release=release,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[DedupeIntegration()],
            auto_session_tracking=False,
            send_client_reports=False,
            spotlight=False,
            include_local_variables=False,
            max_request_body_size="never",
            max_breadcrumbs=0,
            before_send=_without_contents,
        )
        self._logged = _LoggedErrors()
        logging.getLogger().addHandler(self._logged)

    def close(self) -> None:
        """Send what is left. It may take long: run it where nobody waits."""
        logging.getLogger().removeHandler(self._logged)
        sentry_sdk.flush()

    def around(self, operation: Operation) -> AbstractAsyncContextManager[None]:
        """A publication is part of another operation, which knows the user."""
        return _NOTHING if operation.kind == "publish" else _Reported(operation)


class _Reported(AbstractAsyncContextManager[None]):
    """The block of one operation."""

    __slots__ = ("_operation",)

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Exception):
            operation = self._operation
            _report(error, f"{operation.kind} {operation.name}", operation.connection_id, operation.user_id)


class _LoggedErrors(logging.Handler):
    """Whatever else is logged with an error: the tasks of connections and of the process, the server's own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        said: Mapping[str, Any] = record.msg if isinstance(record.msg, dict) else {}
        error = _error_of(record.exc_info or said.get("exc_info"))
        if error is None or record.name.startswith(_OWN_LOGGERS):
            return
        try:
            _report(error, str(said.get("event", record.name)), said.get("connection_id"), said.get("user_id"))
        except Exception:
            self.handleError(record)


def _error_of(exc_info: Any) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if exc_info:
        return exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1]
    return None


def _report(error: BaseException, where: str, connection: str | None, user: Any) -> None:
    if isinstance(error, Problem):
        return
    with sentry_sdk.new_scope() as scope:
        scope.set_transaction_name(where)
        if connection is not None:
            scope.set_tag("connection_id", connection)
        if user is not None:
            scope.set_user({"id": str(user)})
        sentry_sdk.capture_exception(error)


def _without_contents(event: Event, _hint: Hint) -> Event:
    """What an exception says may be what a user wrote; the log has it, with the connection's id."""
    event.pop("request", None)
    for error in event.get("exception", {}).get("values", ()):
        error.pop("value", None)
    cleaned: Event = _cleaned(event)
    return cleaned


def _cleaned(value: Any) -> Any:
    """Without query strings, tokens and passwords, wherever somebody's own words have them."""
    match value:
        case str():
            return redact(_QUERY.sub("?…", value))
        case dict():
            return {key: _cleaned(each) for key, each in value.items()}
        case list() | tuple():
            return [_cleaned(each) for each in value]
        case _:
            return value
