"""WebSocket conformance: the Autobahn test suite against the generated service."""
