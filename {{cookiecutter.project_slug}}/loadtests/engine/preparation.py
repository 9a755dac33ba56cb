"""What has to be there before the first client: the `prepare` of each kind of user, once, where the run is led."""

from locust.env import Environment

from loadtests.engine.api import Service
from loadtests.engine.places import places
from loadtests.engine.tokens import identities
from loadtests.engine.users import WebSocketUser, first_user

_NOBODY = 99
"""The number of a worker that no run has: whoever prepares is none of its clients."""


def prepare(environment: Environment) -> None:
    """Have each kind of user that takes part make what it needs.

    Raises:
        NoTokensError: There is nothing to make tokens with.
        PreparationError: The service is not ready, or something could not be made.
    """
    kinds = [kind for kind in environment.user_classes if issubclass(kind, WebSocketUser)]
    owners = {next(parent for parent in kind.__mro__ if "prepare" in vars(parent)): kind for kind in kinds}
    host = environment.host or ""
    service = Service(host, places(environment), identities(host, first_user(environment, _NOBODY)))
    service.check()
    for kind in owners.values():  # once, although kinds share what they inherit
        kind.prepare(service)
