"""Ends a task as soon as ECS begins to take it down: runs next to the service, in the same image (task.tf).

ECS takes a leaving task out of the load balancer, waits until that has let go of its connections, and only then sends
SIGTERM: by then there is nobody left to say goodbye to. This container looks whether its task is leaving, and ends; it
is essential, so the service gets its SIGTERM at once, while the load balancer still leaves its connections alone.
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html

Plain Python, since the image holds no SDK of AWS. It never ends for another reason: whatever fails, it looks again.
"""

import hashlib
import hmac
import json
import os
import random
import signal
import sys
import time
from typing import Any
from urllib.request import Request, urlopen

_LOOK_EVERY_SECONDS = 10.0
_BLIND_AFTER_SECONDS = 60.0
_UNTIL_OUT_OF_THE_LOAD_BALANCER_SECONDS = 5.0
_TIMEOUT_SECONDS = 5.0
_OPERATION = "AmazonEC2ContainerServiceV20141113.DescribeTasks"


def main() -> None:
    """Wait until the task is leaving."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    trouble, saw = "", time.monotonic()
    while True:
        try:
            if is_leaving():
                break
            saw = time.monotonic()
        except Exception as error:
            if (what := f"{type(error).__name__}: {error}") != trouble:
                trouble = what
                _log("warning", f"cannot see whether this task is leaving, {what}")
            if time.monotonic() - saw > _BLIND_AFTER_SECONDS:
                _log("error", "blind for more than a minute", **_metric())
        # Tasks that were started together do not ask together: ECS answers so many a second for an account.
        time.sleep(_LOOK_EVERY_SECONDS * random.uniform(0.7, 1))  # noqa: S311
    _log("info", "this task is leaving")
    time.sleep(_UNTIL_OUT_OF_THE_LOAD_BALANCER_SECONDS)


def is_leaving() -> bool:
    """Whether ECS has begun to take this task down.

    Raises:
        Exception: It cannot be seen: no answer, or not the expected one.
    """
    own = _read(f"{os.environ['ECS_CONTAINER_METADATA_URI_V4']}/task")
    body = json.dumps({"cluster": own["Cluster"], "tasks": [own["TaskARN"]]}).encode()
    region = own["TaskARN"].split(":")[3]
    request = signed(os.environ["AWS_ENDPOINT_URL"], body, region, _read(_credentials()), time.time())
    (task,) = _answer(request)["tasks"]
    return bool(task["desiredStatus"] == "STOPPED" or task["lastStatus"] == "DEACTIVATING")


def signed(url: str, body: bytes, region: str, credentials: dict[str, str], now: float) -> Request:
    """A request to ECS, signed as AWS asks (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html)."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/ecs/aws4_request"
    request = Request(f"{url}/", body, method="POST")  # noqa: S310 - the address comes from task.tf
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": request.host,
        "x-amz-date": stamp,
        "x-amz-security-token": credentials["Token"],
        "x-amz-target": _OPERATION,
    }
    lines = [f"{name}:{value}" for name, value in headers.items()]
    names = ";".join(headers)
    canonical = "\n".join(["POST", "/", "", *lines, "", names, hashlib.sha256(body).hexdigest()])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{credentials['SecretAccessKey']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex()
    who = f"Credential={credentials['AccessKeyId']}/{scope}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={signature}"
    for name, value in headers.items():
        request.add_header(name, value)
    return request


def _credentials() -> str:
    """Where the task's role gets its credentials."""
    full = os.environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    return full or f"http://169.254.170.2{os.environ['AWS_CONTAINER_CREDENTIALS_RELATIVE_URI']}"


def _read(url: str) -> dict[str, Any]:
    return _answer(Request(url))  # noqa: S310 - addresses that ECS gives


def _answer(request: Request) -> dict[str, Any]:
    with urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def _metric() -> dict[str, Any]:
    """What CloudWatch makes the alarm's metric of (its embedded metric format)."""
    dimensions = {name: os.environ.get(name, "") for name in ("Service", "Environment")}
    directive = {
        "Namespace": os.environ.get("METRICS", ""),
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": "WatcherBlind", "Unit": "Count"}],
    }
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, **dimensions, "WatcherBlind": 1}


def _log(level: str, event: str, **fields: Any) -> None:
    sys.stderr.write(json.dumps({"level": level, "logger": "watcher", "event": event, **fields}) + "\n")


if __name__ == "__main__":
    main()
