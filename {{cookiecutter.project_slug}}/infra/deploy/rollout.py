"""A deployment: migrate, roll out, look whether it worked, and go back when it did not."""

import time
from typing import Any

from infra.deploy.environment import DeploymentError, Environment

_READ_ONLY = (
    *("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities"),
    *("registeredAt", "registeredBy", "deregisteredAt"),
)
_MIGRATION_SECONDS = 1800
_LOOKS_UNTIL_SURE = 3


class Rollout:
    """One deployment to one environment."""

    def __init__(self, environment: Environment, patience: float | None, poll: float) -> None:
        self._environment = environment
        self._known = environment.deployment
        self._patience = self._known.rollout_seconds if patience is None else patience
        self._poll = poll
        self._ecs = environment.client("ecs")
        self._service = {"cluster": self._known.cluster, "service": self._known.service}

    def register(self, digest: str) -> str:
        """What will serve, with this image."""
        return self._with_image(self._known.task_definition, digest)

    def _with_image(self, kept: str, digest: str) -> str:
        """A definition that Terraform keeps as a pattern, with this image wherever the pattern leaves it open."""
        pattern = self._ecs.describe_task_definition(taskDefinition=kept)["taskDefinition"]
        definition = {key: value for key, value in pattern.items() if key not in _READ_ONLY}
        for container in definition["containerDefinitions"]:
            if container["image"] == f"{self._known.image_repository}:none":
                container["image"] = f"{self._known.image_repository}@{digest}"
        registered = self._ecs.register_task_definition(**definition)["taskDefinition"]
        return str(registered["taskDefinitionArn"])

    def migrate(self, digest: str) -> None:
        """Run the migrations of this image in a task of their own, which is the database's owner.

        Raises:
            DeploymentError: They failed; the service still runs what it ran.
        """
        task = self._start(self._with_image(self._known.migration, digest))
        self._environment.say(f"migrating in task {_short(task)}")
        deadline = time.monotonic() + _MIGRATION_SECONDS
        while (state := self._describe(task))["lastStatus"] != "STOPPED":
            if time.monotonic() >= deadline:
                self._ecs.stop_task(cluster=self._known.cluster, task=task, reason="migration takes too long")
                raise DeploymentError(f"the migration takes longer than {_MIGRATION_SECONDS} s, it was stopped")
            time.sleep(self._poll)
        (container,) = (each for each in state["containers"] if each["name"] == self._known.container)
        if container.get("exitCode") != 0:
            for line in self._log_of(task):
                self._environment.say(f"  {line}")
            reason = container.get("reason") or state.get("stoppedReason") or f"exit code {container.get('exitCode')}"
            raise DeploymentError(f"the migration failed ({reason}). The service still runs what it ran before.")

    def roll_out(self, definition: str) -> None:
        """Replace the running tasks.

        Raises:
            DeploymentError: The new tasks did not become stable; the old ones run.
        """
        before = self.running()
        self._environment.say(f"rolling out {_short(definition)}")
        # Scaling owns the count; only a service that is below its least number is told one.
        start = {"desiredCount": self._known.min_tasks} if self._is_too_small(before) else {}
        self._ecs.update_service(**self._service, taskDefinition=definition, **start)
        if (problem := self._wait_for(definition)) is not None:
            raise DeploymentError(f"{problem}. {self.go_back(before)}")

    def go_back(self, before: dict[str, Any]) -> str:
        """Return to what ran before, and as many tasks of it where scaling had none to count; says what runs now.

        Raises:
            DeploymentError: Not even that became stable.
        """
        previous = before["taskDefinition"]
        self._environment.say(f"going back to {_short(previous)}")
        start = {"desiredCount": before["desiredCount"]} if self._is_too_small(before) else {}
        if start or self._primary()["taskDefinition"] != previous:  # ECS may have been first
            self._ecs.update_service(**self._service, taskDefinition=previous, **start)
        if (problem := self._wait_for(previous)) is not None:
            raise DeploymentError(f"going back did not work either ({problem}). Look at the service's events now.")
        if before["desiredCount"] == 0:
            return "Nothing ran before, so nothing runs now: the service is back at 0 tasks."
        return f"Rolled back to {_short(previous)}."

    def restart(self) -> None:
        """Replace the running tasks by fresh ones of the same kind, which read the secrets anew.

        Raises:
            DeploymentError: They did not become stable.
        """
        definition = self.running()["taskDefinition"]
        self._ecs.update_service(**self._service, forceNewDeployment=True)
        if (problem := self._wait_for(definition)) is not None:
            raise DeploymentError(problem)

    def running(self) -> dict[str, Any]:
        """What runs now, to go back to."""
        answer = self._ecs.describe_services(cluster=self._known.cluster, services=[self._known.service])
        service: dict[str, Any] = answer["services"][0]
        return service

    def digest(self) -> str:
        """The image that runs now.

        Raises:
            DeploymentError: None does.
        """
        definition = self._ecs.describe_task_definition(taskDefinition=self.running()["taskDefinition"])
        containers = definition["taskDefinition"]["containerDefinitions"]
        (image,) = (each["image"] for each in containers if each["name"] == self._known.container)
        digest = str(image).partition("@")[2]
        if not digest:
            raise DeploymentError(f"{self._environment.name} runs no image yet. Nothing was changed.")
        return digest

    def _is_too_small(self, service: dict[str, Any]) -> bool:
        return int(service["desiredCount"]) < self._known.min_tasks

    def _wait_for(self, definition: str) -> str | None:
        """Wait until the primary deployment runs this definition and is complete; what is wrong, if it is not."""
        deadline = time.monotonic() + self._patience
        others = 0
        while time.monotonic() < deadline:
            primary = self._primary()
            if primary["taskDefinition"] != definition:
                others += 1  # right after the update, ECS may still show the deployment before it
                if others == _LOOKS_UNTIL_SURE:
                    return "the tasks did not become stable and ECS rolled them back"
            elif primary["rolloutState"] == "FAILED":
                return f"the tasks did not become stable: {primary.get('rolloutStateReason', '')}"
            elif primary["rolloutState"] == "COMPLETED" and primary["runningCount"] == primary["desiredCount"]:
                return None
            time.sleep(self._poll)
        return f"the tasks were not stable after {self._patience:.0f} s"

    def _primary(self) -> dict[str, Any]:
        deployments: list[dict[str, Any]] = self.running()["deployments"]
        return next(deployment for deployment in deployments if deployment["status"] == "PRIMARY")

    def _start(self, definition: str) -> str:
        network = {
            "subnets": self._known.subnets,
            "securityGroups": self._known.security_groups,
            "assignPublicIp": "DISABLED",
        }
        answer = self._ecs.run_task(
            cluster=self._known.cluster,
            taskDefinition=definition,
            launchType="FARGATE",
            networkConfiguration={"awsvpcConfiguration": network},
        )
        if answer["failures"]:
            raise DeploymentError(f"the migration could not start: {answer['failures'][0].get('reason')}")
        return str(answer["tasks"][0]["taskArn"])

    def _describe(self, task: str) -> dict[str, Any]:
        found: dict[str, Any] = self._ecs.describe_tasks(cluster=self._known.cluster, tasks=[task])["tasks"][0]
        return found

    def _log_of(self, task: str) -> list[str]:
        logs = self._environment.client("logs")
        stream = f"task/{self._known.container}/{_short(task)}"
        try:
            events = logs.get_log_events(logGroupName=self._known.log_group, logStreamName=stream, limit=20)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return [f"no log ({self._known.log_group} {stream})"]
        return [event["message"] for event in events]


def _short(arn: str) -> str:
    return arn.rsplit("/", 1)[1]
