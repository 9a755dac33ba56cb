"""Notifications: created over HTTP, pushed to each of a user's connections."""

from http import HTTPStatus

from locust import FastHttpUser, between, task

from loadtests.engine.client import Message
from loadtests.engine.follower import Vocabulary
from loadtests.engine.measures import age, stamp
from loadtests.engine.users import WebSocketUser

_DEVICES = 2
_WORDS = Vocabulary(events=("notification",))


class Notified(WebSocketUser, FastHttpUser):
    """Has two devices, and is notified every few seconds."""

    kind = "notifications"
    scopes = ("notifications:write",)
    wait_time = between(2, 6)

    def on_start(self) -> None:
        self._stream = f"user {self.identity.user_id}"
        self.devices = [
            self.follow("/ws/notifications", _WORDS, stream=self._stream, on_live=self.heard) for _ in range(_DEVICES)
        ]
        for device in self.devices:
            device.start()

    def on_stop(self) -> None:
        for device in self.devices:
            device.settle()
            device.close()

    def heard(self, notification: Message) -> None:
        """A notification is here, perhaps from elsewhere."""
        seconds = age(notification["data"].get("stamp", ""))
        if seconds is not None:
            self.measures.took("delivery", seconds)

    @task
    def notify(self) -> None:
        """Do what another service would do."""
        body = {"user_id": self.identity.user_id, "data": {"stamp": stamp()}}
        headers = {"Authorization": f"Bearer {self.identity.token}"}
        with self.client.post("/api/notifications", json=body, headers=headers, catch_response=True) as answer:
            if answer.status_code == HTTPStatus.CREATED:
                self.exists(self._stream, answer.json()["seq"])
            else:
                answer.failure(f"status {answer.status_code}")
        for device in self.devices:
            device.look()
