"""Clubs that have to be founded before anybody can listen: what is bought there is announced."""

from locust import FastHttpUser, constant, task

from loadtests.engine.api import Service
from loadtests.engine.client import Message
from loadtests.engine.follower import Vocabulary
from loadtests.engine.measures import stamp
from loadtests.engine.streaming import StreamUser


class Treasurer(StreamUser, FastHttpUser):
    """Buys something every second, over HTTP, and hears of it."""

    kind = "clubs"
    scopes = ("clubs:write",)
    wait_time = constant(1)
    vocabulary = Vocabulary(events=("announcement",))

    @classmethod
    def prepare(cls, service: Service) -> None:
        for place in service.places:
            service.post(f"/api/clubs/{place}/purchases", {"what": "a founding charter"}, scopes=cls.scopes)

    def on_start(self) -> None:
        self._ask("PUT", f"/api/clubs/{self.place}/members/{self.identity.user_id}")
        super().on_start()

    def path(self) -> str:
        return f"/ws/clubs/{self.place}"

    def stamp_in(self, event: Message) -> str:
        return str(event["text"]).removeprefix("We have bought ")

    @task
    def buy(self) -> None:
        """Do what another service would do."""
        self._ask("POST", f"/api/clubs/{self.place}/purchases", {"what": f"{stamp()} tea"})
        self.connection.look()

    def _ask(self, method: str, path: str, body: object = None) -> None:
        headers = {"Authorization": f"Bearer {self.identity.token}"}
        self.client.request(method, path, json=body, headers=headers, name=method)
