"""Prometheus metrics, right for one process and for several."""

import os
from collections import Counter as Tally

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Every metric of the service.

    What happens for each message or connection is counted in plain integers, which `flush` adds to the Prometheus
    counters a few times a second: a Prometheus counter takes a lock and, with several processes, writes to a file each
    time.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.messages_received = 0
        self.messages_sent = 0
        self.handshakes: Tally[str] = Tally()
        """By endpoint."""
        self.closes: Tally[str] = Tally()
        """By close code."""

        self._messages_received = self._counter("websocket_messages_received", "Messages received")
        self._messages_sent = self._counter("websocket_messages_sent", "Messages sent")
        self.connections = self._gauge("websocket_connections", "Open connections")
        self.outbox_bytes = self._gauge("websocket_outbox_bytes", "Bytes waiting for slow clients")
        self._handshakes = self._counter("websocket_handshakes", "Accepted handshakes", "endpoint")
        self.refusals = self._counter("websocket_refusals", "Handshakes refused, by the code of the answer", "reason")
        self._closes = self._counter("websocket_closes", "Connections ended, by close code", "code")
        self.bad_messages = self._counter("websocket_bad_messages", "Messages answered with an error", "code")
        self.limits = self._counter("websocket_limits", "Connections ended or messages dropped by a limit", "limit")
        self.heartbeat_timeouts = self._counter("websocket_heartbeat_timeouts", "Connections that stopped answering")
        self.slow_consumers = self._counter("websocket_slow_consumers", "Connections that read too slowly")
        self.handler_errors = self._counter("websocket_handler_errors", "Bugs: endpoints that raised", "endpoint")
        self.draining = self._gauge("websocket_draining", "Processes that are saying goodbye")
        self.drained = self._counter("websocket_drained", "Connections told to reconnect by a stopping process")
        self.topics = self._gauge("hub_topics", "Topics with subscribers in this process")
        self.events = self._counter("hub_events", "Events taken from the broker")
        self.unreadable_events = self._counter("hub_unreadable_events", "Events that were not what we publish")
        self.events_dropped = self._counter("broker_events_dropped", "Events the broker did not take")
        self.signals_dropped = self._counter("hub_signals_dropped", "Signals that were sent to nobody")
        self.present = self._gauge("hub_users_present", "Users on streams, by the subscriptions of this process")
        self.delivery_errors = self._counter("hub_delivery_errors", "Bugs: topics that could not be brought up to date")
        self.gaps = self._counter("hub_gaps", "Times a topic had to be read from its table: an event was missing")
        self.history_queries = self._counter("hub_history_queries", "Queries for missed events")
        self.broker_connected = self._gauge("broker_connected", "Processes connected to the broker")
        self.broker_reconnects = self._counter("broker_reconnects", "Broken connections to the broker")
        self.database_unavailable = self._counter("database_unavailable", "Operations the database could not do")
        self.database = self._histogram(
            "database_seconds", "Operations on the database, the wait for a connection included"
        )
        self.event_loop_lag = self._histogram("event_loop_lag_seconds", "How late the event loop runs its timers")
        self.http_requests = self._histogram("http_request_seconds", "HTTP requests", "method", "route", "status")

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(name, documentation, registry=self.registry, multiprocess_mode="livesum")

    def _histogram(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, registry=self.registry, buckets=_LATENCY_BUCKETS)

    def flush(self) -> None:
        """Add what was counted in integers since the last time."""
        self._messages_received.inc(self.messages_received)
        self._messages_sent.inc(self.messages_sent)
        self.messages_received = self.messages_sent = 0
        for counter, tally in ((self._handshakes, self.handshakes), (self._closes, self.closes)):
            for label, count in tally.items():
                counter.labels(label).inc(count)
            tally.clear()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes: of this process, or of all that share a metrics directory.

        Metrics that an application makes of its own, in the way of prometheus-client, are among them.
        """
        self.flush()
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self.registry) + generate_latest(REGISTRY)
