"""Streams: declared, appended to, read by those who may."""
