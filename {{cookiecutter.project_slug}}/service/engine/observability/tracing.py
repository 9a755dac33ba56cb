"""Traces by OpenTelemetry: a span around each operation and each SQL statement, and a context that goes with events.

Imported only where it is switched on (`outlets`). What the standard variables say is left to the SDK.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Engine, event

from service.engine.foundation.operations import Operation
from service.engine.foundation.problems import Problem
from service.engine.foundation.project import Project

_KINDS = {
    "handshake": SpanKind.SERVER,
    "message": SpanKind.SERVER,
    "request": SpanKind.SERVER,
    "publish": SpanKind.PRODUCER,
    "delivery": SpanKind.CONSUMER,
}
_ATTRIBUTES = {
    "connection_id": "connection.id",
    "user_id": "user.id",
    "message": "message.type",
    "stream": "messaging.destination.name",
}
"""What a span says of its operation, by OpenTelemetry's names where it has one."""
_TRACEPARENT = "traceparent"
_SPAN = "service.span"
"""Where SQLAlchemy keeps the span of a statement that runs."""
_LONGEST_STATEMENT = 2_000

_UNSAMPLED = nullcontext()

_traceparents = TraceContextTextMapPropagator()


class Tracing:
    """The spans of one process, on their way to a receiver which may be slow or away: nobody waits for it."""

    def __init__(self, project: Project) -> None:
        named = Resource({"service.name": project.name, "service.version": project.version})
        resource = Resource.create().merge(named).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(__name__)
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)  # for the spans that an application makes of its own
        self._listeners = _listeners_to_statements(self._tracer)
        for name, listener in self._listeners.items():
            event.listen(Engine, name, listener)

    def close(self) -> None:
        """Send what is left. It may take long: run it where nobody waits."""
        for name, listener in self._listeners.items():
            event.remove(Engine, name, listener)
        self._provider.shutdown()

    def around(self, operation: Operation) -> AbstractAsyncContextManager[None]:
        """A span, unless the operation is part of one that is not sampled."""
        parent = _parent(operation)
        if parent is None and _is_sampled_out(trace.get_current_span()):
            if operation.kind == "publish":
                operation.traceparent = _traceparent()
            return _UNSAMPLED
        return _Spanned(self._tracer, operation, parent)


class _Spanned(AbstractAsyncContextManager[None]):
    """The block of one operation. A generator would do it, for more than a message costs without."""

    __slots__ = ("_operation", "_parent", "_span", "_token", "_tracer")

    def __init__(self, tracer: trace.Tracer, operation: Operation, parent: context.Context | None) -> None:
        self._tracer = tracer
        self._operation = operation
        self._parent = parent

    async def __aenter__(self) -> None:
        operation = self._operation
        name = f"{operation.kind} {operation.name}"
        self._span = self._tracer.start_span(name, self._parent, kind=_KINDS[operation.kind])
        self._token = context.attach(trace.set_span_in_context(self._span))
        if operation.kind == "publish":
            operation.traceparent = _traceparent()

    async def __aexit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        operation, span = self._operation, self._span
        if operation.kind == "handshake":  # the connection's messages follow from it, in this task
            context.attach(trace.set_span_in_context(NonRecordingSpan(span.get_span_context())))
        else:
            context.detach(self._token)
        _describe(span, operation)
        if isinstance(error, Exception):
            _fail(span, error)
        span.end()


def _is_sampled_out(span: Span) -> bool:
    found = span.get_span_context()
    return found.is_valid and not found.trace_flags.sampled


def _traceparent() -> str:
    """Of the current span."""
    carrier: dict[str, str] = {}
    _traceparents.inject(carrier)
    return carrier[_TRACEPARENT]


def _parent(operation: Operation) -> context.Context | None:
    if operation.kind == "publish" or operation.traceparent is None:
        return None
    return _traceparents.extract({_TRACEPARENT: operation.traceparent})


def _describe(span: Span, operation: Operation) -> None:
    """Once it has ended, and all is known."""
    if span.is_recording():
        found = {name: getattr(operation, field) for field, name in _ATTRIBUTES.items()}
        span.set_attributes({name: str(value) for name, value in found.items() if value is not None})
    if operation.status is not None:
        span.set_attribute("http.response.status_code", operation.status)
        if operation.status >= 500:
            span.set_status(Status(StatusCode.ERROR))


def _fail(span: Span, error: BaseException) -> None:
    """Say of what kind the error is; its text may be what a user wrote."""
    if isinstance(error, Problem):
        span.set_attribute("error.type", error.code)
        if error.status < 500:
            return
    else:
        span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))


def _listeners_to_statements(tracer: trace.Tracer) -> Mapping[str, Callable[..., None]]:
    """By SQLAlchemy's events: a span around each statement of an operation, with its text and without its values."""

    def begin(_connection: Any, _cursor: Any, statement: str, _values: Any, running: Any, _many: bool) -> None:
        if running is None or not trace.get_current_span().get_span_context().trace_flags.sampled:
            return
        text = " ".join(statement.split())[:_LONGEST_STATEMENT]
        span = tracer.start_span(f"SQL {text.partition(' ')[0].upper()}", kind=SpanKind.CLIENT)
        span.set_attributes({"db.system.name": "postgresql", "db.query.text": text})
        setattr(running, _SPAN, span)

    def end(_connection: Any, _cursor: Any, _statement: str, _values: Any, running: Any, _many: bool) -> None:
        if (span := getattr(running, _SPAN, None)) is not None:
            span.end()

    def fail(failure: Any) -> None:
        if (span := getattr(failure.execution_context, _SPAN, None)) is not None:
            _fail(span, failure.original_exception)
            span.end()

    return {"before_cursor_execute": begin, "after_cursor_execute": end, "handle_error": fail}
