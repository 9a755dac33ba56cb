"""Streams: declared once by an application, appended to in a transaction, read by position."""
