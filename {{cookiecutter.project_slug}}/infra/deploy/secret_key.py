"""SECRET_KEY: made once, rotated in three steps, kept in Secrets Manager alone."""

import secrets
from collections.abc import Callable

from infra.deploy.environment import DeploymentError, Environment


def current_keys(environment: Environment) -> list[str]:
    """The keys, the signing one first; none if they were never made."""
    client = environment.client("secretsmanager")
    try:
        value = client.get_secret_value(SecretId=environment.deployment.secret_key)["SecretString"]
    except client.exceptions.ResourceNotFoundException:
        return []
    return [key.strip() for key in value.split(",") if key.strip()]


def make_if_missing(environment: Environment) -> None:
    """Give a new environment its key."""
    if environment.deployment.secret_key and not current_keys(environment):
        environment.say("making SECRET_KEY")
        _store(environment, [_new_key()])


def rotate(environment: Environment, step: str) -> None:
    """Take one step of a rotation; each takes effect with the deployment after it.

    Raises:
        DeploymentError: It is not this step's turn.
    """
    if not environment.deployment.secret_key:
        raise DeploymentError("tokens are made by the identity provider (jwks_url): there is no SECRET_KEY to rotate")
    keys = current_keys(environment)
    wanted, action = STEPS[step]
    if len(keys) != wanted:
        raise DeploymentError(f"{step} is for {wanted} key(s), and there are {len(keys)}: see docs/operations.md")
    _store(environment, action(keys))
    environment.say(f"{step}: done. Deploy now: make deploy ENV={environment.name} IMAGE=running")


def _store(environment: Environment, keys: list[str]) -> None:
    client = environment.client("secretsmanager")
    client.put_secret_value(SecretId=environment.deployment.secret_key, SecretString=",".join(keys))


def _new_key() -> str:
    return secrets.token_hex(32)


STEPS: dict[str, tuple[int, Callable[[list[str]], list[str]]]] = {
    "add": (1, lambda keys: [*keys, _new_key()]),  # the new one verifies
    "promote": (2, lambda keys: [keys[1], keys[0]]),  # the new one signs, the old one verifies
    "retire": (2, lambda keys: keys[:1]),  # the old one is gone
}
