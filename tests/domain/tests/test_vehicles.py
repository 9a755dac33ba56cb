"""Vehicles are followed by everybody but who moves them."""

from tests.engine.kit.fixture_types import Connect
from tests.engine.kit.running import Service


async def test_whoever_follows_a_vehicle_sees_it_move(service: Service, connect: Connect) -> None:
    driver = await connect(service, "/ws/vehicles/7", user=1)
    watcher = await connect(service, "/ws/vehicles/7", user=2)
    await driver.send({"type": "moved", "metre": 12})
    assert await watcher.receive() == {"type": "position", "seq": 1, "driver": 1, "metre": 12}
    await driver.lives()
