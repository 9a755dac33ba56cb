"""Structured logs: one line an event, JSON outside development, never a token in any of them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from service.engine.foundation.settings import Settings

# Every repetition is bounded: a hostile line must not take long to look through.
_SECRETS = re.compile(
    r"(?P<jwt>(?<![\w-])eyJ[\w-]{4,8192}\.[\w-]{1,8192}\.[\w-]{0,8192})"
    r"|(?P<query>(?<=token=)[^&\s\"'\\]+|(?<=ticket=)[^&\s\"'\\]+)"
    r"|(?P<bearer>(?<=bearer[ .])[^\s\"',\\]+)"
    r"|(?P<password>(?<=://)[^/@\s:]{0,128}:[^/@\s:]{1,256}(?=@))",
    re.IGNORECASE,
)
_SIGNS = ("eyj", "token=", "ticket=", "bearer", "://")
"""Without one of these nothing of that is there, and looking for it takes fifteen times as long."""


def _without_color_message(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """uvicorn brings each of its lines twice, the second time in colours."""
    event.pop("color_message", None)
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _without_color_message,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def redact(text: str) -> str:
    """`text` without tokens, tickets and passwords: the last defence, the first is not to log them."""
    lowered = text.lower()
    return _SECRETS.sub("[redacted]", text) if any(sign in lowered for sign in _SIGNS) else text


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(settings: Settings) -> None:
    """Send everything that this process logs, the libraries' lines included, through one handler to stderr."""
    if settings.logs_as_json:
        without_locals = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # they hold what clients said
        rendering: list[Any] = [
            structlog.processors.ExceptionRenderer(without_locals),
            structlog.processors.JSONRenderer(),
        ]
    else:
        rendering = [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        _RedactingFormatter(
            foreign_pre_chain=_SHARED,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.getLogger("service.uvicorn").setLevel(logging.WARNING)  # its handshake lines may hold tokens
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(str(settings.log_level)),
        cache_logger_on_first_use=True,
    )
