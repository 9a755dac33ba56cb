"""AWS on this machine: moto's server, with what it lacks for our stack added. `python -m tests.simulator PORT`

Each class below replaces methods of one moto class; its docstring says what was missing. A release of moto that closes
a gap makes a class here superfluous; the tests of the whole stack say whether it is.

An image plays a part by the first letters of its digest (`PARTS`): its migration fails, ECS rolls it back, or it never
becomes stable.
"""

import json
import sys
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.models import EC2ContainerServiceBackend, Task
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elasticache.models import ElastiCacheBackend, ReplicationGroup
from moto.elasticache.responses import ElastiCacheResponse
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.rds.models import DBInstance, DBParameterGroup
from moto.secretsmanager.models import SecretsManagerBackend
from moto.server import main

PARTS = {"migration fails": "fa11", "is rolled back": "bad0", "never becomes stable": "dead"}


def plays(part: str, image: str) -> bool:
    return f"@sha256:{PARTS[part]}" in image


def replaces(target: type) -> Any:
    """Put the methods of the decorated class in the place of the target's; `original` is what was there."""

    def put(gap: type) -> type:
        for name, method in vars(gap).items():
            if not name.startswith("__"):
                ORIGINALS[target, name] = getattr(target, name, None)
                setattr(target, name, method)
        return gap

    return put


ORIGINALS: dict[tuple[type, str], Any] = {}


def original(target: type, name: str) -> Any:
    return ORIGINALS[target, name]


@replaces(SecurityGroupRule)
class RuleDescriptions:
    """The description of a rule that names another security group instead of addresses."""

    @property
    def description(self: Any) -> str | None:
        text: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return text


@replaces(DBParameterGroup)
class DatabaseParameters:
    """Who set a parameter: Terraform asks for those that a user set."""

    def update_parameters(self: Any, new_parameters: list[dict[str, Any]]) -> None:
        for parameter in new_parameters:
            self.parameters[parameter["ParameterName"]].update({**parameter, "Source": "user"})


class DatabaseInsights:
    """Performance insights of a database."""

    def __init__(self: Any, *arguments: Any, **settings: Any) -> None:
        original(DBInstance, "__init__")(self, *arguments, **settings)
        self.performance_insights_enabled = settings.get("enable_performance_insights", False)
        self.performance_insights_kms_key_id = settings.get("performance_insights_kms_key_id")
        self.performance_insights_retention_period = settings.get("performance_insights_retention_period", 7)


ORIGINALS[DBInstance, "__init__"] = DBInstance.__init__
DBInstance.__init__ = DatabaseInsights.__init__  # type: ignore[method-assign]


@replaces(ReplicationGroup)
class ReplicationMembers:
    """How many servers a replication group has when it is told by num_cache_clusters."""

    def _set_node_members_clusters_disabled(self: Any, **settings: Any) -> None:
        if not settings["replicas_per_node_group"]:
            settings["replicas_per_node_group"] = (settings["num_cache_clusters"] or 1) - 1
        original(ReplicationGroup, "_set_node_members_clusters_disabled")(self, **settings)


@replaces(ElastiCacheBackend)
class CacheClusters:
    """The servers of a replication group as clusters, an end of deleting, and tags of parameter groups."""

    def describe_cache_clusters(self: Any, cache_cluster_id: str | None = None) -> list[Any]:
        for group in self.replication_groups.values():
            if cache_cluster_id and cache_cluster_id in group.member_clusters:
                return [CacheClusters._member(group, cache_cluster_id)]
        clusters: list[Any] = original(ElastiCacheBackend, "describe_cache_clusters")(self, cache_cluster_id)
        return clusters

    def _member(group: Any, name: str) -> dict[str, Any]:  # noqa: N805 - no method of the backend
        return {
            "ARN": group.arn,
            "AtRestEncryptionEnabled": group.at_rest_encryption_enabled,
            "AutoMinorVersionUpgrade": True,
            "CacheClusterId": name,
            "CacheClusterStatus": "available",
            "CacheNodeType": group.cache_node_type,
            "CacheParameterGroup": {
                "CacheParameterGroupName": group.cache_parameter_group_name,
                "ParameterApplyStatus": "in-sync",
            },
            "CacheSubnetGroupName": group.cache_subnet_group_name,
            "Engine": group.engine,
            "EngineVersion": f"{group.engine_version}.0",
            "NumCacheNodes": 1,
            "PreferredMaintenanceWindow": group.preferred_maintenance_window,
            "ReplicationGroupId": group.replication_group_id,
            "SecurityGroups": [
                {"SecurityGroupId": identifier, "Status": "active"} for identifier in group.security_group_ids or []
            ],
            "SnapshotRetentionLimit": group.snapshot_retention_limit,
            "SnapshotWindow": group.snapshot_window,
            "TransitEncryptionEnabled": group.transit_encryption_enabled,
        }

    def delete_replication_group(self: Any, replication_group_id: str, retain_primary_cluster: bool | None) -> Any:
        delete = original(ElastiCacheBackend, "delete_replication_group")
        group = delete(self, replication_group_id, retain_primary_cluster)
        self.replication_groups.pop(replication_group_id, None)
        return group

    def list_tags_for_resource(self: Any, arn: str) -> Any:
        if ":parametergroup:" in arn:
            return {"Tags": parameter_groups(self).get(arn.rsplit(":", 1)[1], {}).get("Tags", [])}
        return original(ElastiCacheBackend, "list_tags_for_resource")(self, arn)


def parameter_groups(backend: Any) -> dict[str, dict[str, Any]]:
    """The cache parameter groups of a backend, which has no place for them."""
    groups: dict[str, dict[str, Any]] = vars(backend).setdefault("cache_parameter_groups", {})
    return groups


@replaces(ElastiCacheResponse)
class CacheGroups:
    """The end of a cache subnet group, and everything about cache parameter groups."""

    def delete_cache_subnet_group(self: Any) -> EmptyResult:
        self.elasticache_backend.cache_subnet_groups.pop(self._get_param("CacheSubnetGroupName"), None)
        return EmptyResult()

    def create_cache_parameter_group(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        group = {
            "ARN": f"arn:aws:elasticache:{self.region}:{self.current_account}:parametergroup:{name}",
            "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"),
            "CacheParameterGroupName": name,
            "Description": self._get_param("Description"),
            "IsGlobal": False,
        }
        parameter_groups(self.elasticache_backend)[name] = {
            **group,
            "Tags": self._get_param("Tags", []),
            "Parameters": {},
        }
        return ActionResult({"CacheParameterGroup": group})

    def describe_cache_parameter_groups(self: Any) -> ActionResult:
        wanted = self._get_param("CacheParameterGroupName")
        groups = parameter_groups(self.elasticache_backend)
        return ActionResult(
            {"CacheParameterGroups": [group for name, group in groups.items() if wanted in (None, name)]}
        )

    def modify_cache_parameter_group(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        for parameter in self._get_param("ParameterNameValues", []):
            parameters = parameter_groups(self.elasticache_backend)[name]["Parameters"]
            parameters[parameter["ParameterName"]] = {**parameter, "Source": "user", "IsModifiable": True}
        return ActionResult({"CacheParameterGroupName": name})

    def describe_cache_parameters(self: Any) -> ActionResult:
        group = parameter_groups(self.elasticache_backend)[self._get_param("CacheParameterGroupName")]
        return ActionResult({"Parameters": list(group["Parameters"].values())})

    def reset_cache_parameter_group(self: Any) -> ActionResult:
        return ActionResult({"CacheParameterGroupName": self._get_param("CacheParameterGroupName")})

    def delete_cache_parameter_group(self: Any) -> EmptyResult:
        parameter_groups(self.elasticache_backend).pop(self._get_param("CacheParameterGroupName"), None)
        return EmptyResult()


KEPT = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}
"""Attributes of an ECS service that moto forgets."""


@replaces(EC2ContainerServiceResponse)
class Services:
    """Attributes of a service; and a deployment of a task definition, which comes to the end its image says."""

    def create_service(self: Any) -> Any:
        result = original(EC2ContainerServiceResponse, "create_service")(self)
        Services._keep(self, result.result["service"])
        return result

    def update_service(self: Any) -> Any:
        before = self.ecs_backend._get_service(self._get_param("cluster"), self._get_param("service")).task_definition
        result = original(EC2ContainerServiceResponse, "update_service")(self)
        service = result.result["service"]
        Services._keep(self, service)
        definition = self.ecs_backend.describe_task_definition(service.task_definition)
        image = definition.container_definitions[0]["image"]
        runs, state = definition.arn, "COMPLETED"
        if plays("is rolled back", image):
            runs = before
        elif plays("never becomes stable", image):
            state = "IN_PROGRESS"
        service.task_definition = runs
        service.running_count, service.pending_count = service.desired_count, 0
        service.deployments[0].update(
            taskDefinition=runs,
            desiredCount=service.desired_count,
            runningCount=service.desired_count,
            pendingCount=0,
            rolloutState=state,
            rolloutStateReason=f"ECS deployment {state.lower()}.",
        )
        return result

    def _keep(self: Any, service: Any) -> None:
        for parameter, attribute in KEPT.items():
            if self._get_param(parameter) is not None:
                setattr(service, attribute, self._get_param(parameter))


@replaces(EC2ContainerServiceBackend)
class Migrations:
    """Containers without a size of their own, and tasks that fail."""

    @staticmethod
    def _calculate_task_resource_requirements(task_definition: Any) -> dict[str, Any]:  # noqa: ARG004
        return {"CPU": 0, "MEMORY": 0, "PORTS": [], "PORTS_UDP": []}

    def describe_tasks(self: Any, cluster_str: str, tasks: str | None) -> list[Task]:
        found: list[Task] = original(EC2ContainerServiceBackend, "describe_tasks")(self, cluster_str, tasks)
        for task in found:
            definition = self.describe_task_definition(task.task_definition_arn)
            if plays("migration fails", definition.container_definitions[0]["image"]):
                task.containers[0].exitCode = 2
        return found


@replaces(SecretsManagerBackend)
class ManagedRotation:
    """The end of a rotation without a function of one's own: that of a password which RDS keeps."""

    def cancel_rotate_secret(self: Any, secret_id: str) -> str:
        secret = self.secrets[secret_id]
        secret.rotation_enabled = False
        description: str = secret.to_short_dict()
        return description


def tags_of(response: Any) -> dict[str, dict[str, str]]:
    tags: dict[str, dict[str, str]] = vars(response.applicationautoscaling_backend).setdefault("tags", {})
    return tags


@replaces(ApplicationAutoScalingResponse)
class ScalingTags:
    """Tags of scalable targets, and the ARN to ask for them with."""

    def register_scalable_target(self: Any) -> str:
        answer = json.loads(original(ApplicationAutoScalingResponse, "register_scalable_target")(self) or "{}")
        names = [self._get_param(name) for name in ("ServiceNamespace", "ResourceId", "ScalableDimension")]
        (target,) = self.applicationautoscaling_backend.describe_scalable_targets(names[0], [names[1]], names[2])
        if self._get_param("Tags"):
            tags_of(self)[target.arn] = self._get_param("Tags")
        return json.dumps({**answer, "ScalableTargetARN": target.arn})

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tags_of(self).get(self._get_param("ResourceARN"), {})})

    def tag_resource(self: Any) -> str:
        tags_of(self).setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("TagKeys"):
            tags_of(self).get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"


@replaces(IAMPolicyStatement)
class Conditions:
    """A Deny with a condition: it would deny everything, while here everything comes over what it asks for."""

    def is_action_permitted(self: Any, *arguments: Any, **values: Any) -> PermissionResult:
        if self._statement.get("Effect") == "Deny" and self._statement.get("Condition"):
            return PermissionResult.NEUTRAL
        result: PermissionResult = original(IAMPolicyStatement, "is_action_permitted")(self, *arguments, **values)
        return result


if __name__ == "__main__":
    main(["-H", "127.0.0.1", "-p", sys.argv[1]])
