"""The endpoints. Yours go here: one file each, listed below."""

from fastapi import APIRouter

from service.endpoints import access, comments, demo, live_comments, notifications

ROUTERS: list[APIRouter] = [live_comments.router, notifications.router, comments.router, access.router]
DEMO_ROUTERS: list[APIRouter] = [demo.router]
