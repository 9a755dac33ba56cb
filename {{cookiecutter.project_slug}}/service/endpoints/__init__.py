"""The endpoints. Yours go here: one file each, listed below."""

from fastapi import APIRouter

from service.endpoints import access, comments, demo, live_comments, notifications

ROUTERS: list[APIRouter] = [live_comments.router, notifications.router, comments.router, access.router]
DEMO_ROUTERS: list[APIRouter] = [demo.router]


def routers(*, demo: bool) -> list[APIRouter]:
    """What is served: yours, and the demo's where it is on."""
    return [*ROUTERS, *(DEMO_ROUTERS if demo else [])]
