"""The promises of the service, each proved on a real database, real processes and real sockets."""
