"""The engine's tests run an application of their own: `tests/engine/application`."""

import pytest

from tests.engine.kit.fixture_types import Number, StartService
from tests.engine.kit.running import Service
from tests.engine.strict import SETTINGS


@pytest.fixture(scope="session")
def application_module() -> str:
    """The application under test, as `python -m` starts it."""
    return "tests.engine.application"


@pytest.fixture
def strict(shared_service: StartService) -> Service:
    """A service that allows little."""
    return shared_service(**SETTINGS)


@pytest.fixture
def room(number: Number) -> int:
    """A room nobody has been in."""
    return number()
