"""A client's socket: frames in and out, whatever server holds it."""
