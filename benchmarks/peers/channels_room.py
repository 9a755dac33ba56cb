"""Django Channels on uvicorn, with its in-memory layer: one process only, as its documentation says."""

import json
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.urls import path

settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})
django.setup()


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        await self.send(f"Echo: {text_data}")


class Json(AsyncWebsocketConsumer):
    async def receive(self, text_data: str) -> None:
        await self.send(json.dumps({"received": json.loads(text_data), "status": "ok"}))


class Room(AsyncWebsocketConsumer):
    groups = ("room",)

    async def receive(self, text_data: str) -> None:
        await self.channel_layer.group_send("room", {"type": "message", "text": json.dumps(json.loads(text_data))})

    async def message(self, event: dict[str, Any]) -> None:
        await self.send(event["text"])


app = ProtocolTypeRouter(
    {
        "websocket": URLRouter(
            [path("ws/echo", Echo.as_asgi()), path("ws/json", Json.as_asgi()), path("ws/room", Room.as_asgi())]
        )
    }
)
