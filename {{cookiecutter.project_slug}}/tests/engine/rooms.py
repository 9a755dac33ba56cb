"""What tests do in the rooms of the engine's application, and with its letters."""

from typing import Any

import httpx

from tests.engine.kit.client import Client, Message
from tests.engine.kit.tokens import bearer

POSTMASTER = bearer(1, scope="letters:write")


async def enter(client: Client, body: str, **fields: Any) -> Message:
    """Send an entry and return the next message that comes."""
    return await client.ask({"type": "new_entry", "body": body} | fields)


async def send_letter(http: httpx.AsyncClient, user: int, data: dict[str, Any]) -> None:
    answer = await http.post("/api/letters", json={"user_id": user, "data": data}, headers=POSTMASTER)
    assert answer.status_code == 201, answer.text
