"""The life of a connection: heartbeat, slow readers, drain, and the mistakes of an endpoint's author."""
