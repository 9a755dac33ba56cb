"""The database's password: RDS makes a new one, and tasks that know it replace those that do not."""

import time
from typing import Any

from infra.deploy.environment import DeploymentError, Environment
from infra.deploy.rollout import Rollout

_SECONDS = 300


def rotate(environment: Environment, rollout: Rollout, poll: float) -> None:
    """Change the password now. Until the new tasks run, the old ones make do with the connections they have.

    Raises:
        DeploymentError: RDS did not change it, or the new tasks did not become stable.
    """
    client = environment.client("secretsmanager")
    secret = environment.deployment.database_secret
    before = _current_version(client, secret)
    client.rotate_secret(SecretId=secret, RotateImmediately=True)
    deadline = time.monotonic() + _SECONDS
    while _current_version(client, secret) in {before, None}:
        if time.monotonic() >= deadline:
            raise DeploymentError(f"RDS did not change the password within {_SECONDS} s; look at the secret's rotation")
        time.sleep(poll)
    environment.say("the password has changed, replacing the tasks")
    rollout.restart()


def _current_version(client: Any, secret: str) -> str | None:
    stages = client.describe_secret(SecretId=secret)["VersionIdsToStages"]
    return next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
