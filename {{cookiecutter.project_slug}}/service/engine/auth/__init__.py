"""Who is there: from a handshake or a request to a principal."""
