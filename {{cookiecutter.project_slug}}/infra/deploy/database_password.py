"""The database's passwords: its owner's, which RDS makes, and the one that the service logs in with."""

import secrets
import time
from typing import Any

from infra.deploy.environment import DeploymentError, Environment
from infra.deploy.rollout import Rollout

_SECONDS = 300


def make_if_missing(environment: Environment) -> None:
    """Give the service of a new environment its password; the next migration lets it in."""
    client, secret = environment.client("secretsmanager"), environment.deployment.service_password
    if _current_version(client, secret) is None:
        environment.say("making the database password of the service")
        client.put_secret_value(SecretId=secret, SecretString=_new_password())


def rotate(environment: Environment, rollout: Rollout, poll: float) -> None:
    """Change both now. Until the new tasks run, the old ones make do with the connections they have.

    Raises:
        DeploymentError: RDS did not change the owner's, the database was not told the service's, which is the one of
            before then, or the new tasks did not become stable.
    """
    client, digest = environment.client("secretsmanager"), rollout.digest()
    _rotate_owners(environment, client, poll)
    secret = environment.deployment.service_password
    before = _current_version(client, secret)
    new = client.put_secret_value(SecretId=secret, SecretString=_new_password())["VersionId"]
    try:
        rollout.migrate(digest)
    except DeploymentError:
        client.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=before, RemoveFromVersionId=new
        )
        raise
    environment.say("the passwords have changed, replacing the tasks")
    rollout.restart()


def _rotate_owners(environment: Environment, client: Any, poll: float) -> None:
    secret = environment.deployment.owner_password
    before = _current_version(client, secret)
    client.rotate_secret(SecretId=secret, RotateImmediately=True)
    deadline = time.monotonic() + _SECONDS
    while _current_version(client, secret) in {before, None}:
        if time.monotonic() >= deadline:
            raise DeploymentError(f"RDS did not change the password within {_SECONDS} s; look at the secret's rotation")
        time.sleep(poll)


def _new_password() -> str:
    return secrets.token_urlsafe(32)


def _current_version(client: Any, secret: str) -> str | None:
    stages = client.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    return next((version for version, names in stages.items() if "AWSCURRENT" in names), None)
