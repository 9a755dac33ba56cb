"""The lock of the environment's Terraform state: while we deploy, nobody changes the infrastructure or deploys, too."""

import getpass
import json
import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.environment import DeploymentError, Environment


@contextmanager
def state_lock(environment: Environment, patience: float, poll: float) -> Iterator[None]:
    """Hold the lock while the block runs; Terraform sees it as it sees its own (`use_lockfile`).

    Raises:
        DeploymentError: Somebody else holds it for longer than `patience` seconds.
    """
    s3 = environment.client("s3")
    where = {"Bucket": environment.state_bucket, "Key": f"{environment.state_key}.tflock"}
    body = json.dumps(_note(environment)).encode()
    deadline = time.monotonic() + patience
    while not _put(s3, where, body):
        if time.monotonic() >= deadline:
            raise DeploymentError(
                f"{environment.name} is locked, nothing was changed: {_holder(environment, s3, where)}"
            )
        environment.say("waiting for somebody else's lock")
        time.sleep(poll)
    try:
        yield
    finally:
        s3.delete_object(**where)


def _put(s3: Any, where: dict[str, str], body: bytes) -> bool:
    try:
        s3.put_object(**where, Body=body, ContentType="application/json", IfNoneMatch="*")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in {409, 412}:
            return False
        raise
    return True


def _holder(environment: Environment, s3: Any, where: dict[str, str]) -> str:
    try:
        note = json.loads(s3.get_object(**where)["Body"].read())
    except (ClientError, ValueError):
        return "by whom could not be read"
    return (
        f"{note.get('Operation', '?')} by {note.get('Who', '?')} since {note.get('Created', '?')}. "
        f'If that has died: make terraform ENV={environment.name} ARGS="force-unlock {note.get("ID", "?")}"'
    )


def _note(environment: Environment) -> dict[str, str]:
    return {
        "ID": str(uuid.uuid4()),
        "Operation": "Deployment",
        "Info": "",
        "Who": f"{getpass.getuser()}@{platform.node()}",
        "Version": "",
        "Created": datetime.now(UTC).isoformat(),
        "Path": f"{environment.state_bucket}/{environment.state_key}",
    }
