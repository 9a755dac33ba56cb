"""A WebSocket service: live comments and notifications that lose nothing."""
