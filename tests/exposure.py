"""What an environment's resources must be like: who can reach what, who may do what, what is encrypted."""

import json
from typing import Any

Resources = dict[str, list[dict[str, Any]]]

# Actions that AWS offers for no single resource.
FOR_ANY_RESOURCE = {"ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"}
# What may manage whole services: `terraform apply`, behind an approval.
MANAGERS = {"apply-staging", "apply-production", "-plan", "plan-staging", "plan-production"}


def by_type(root_module: dict[str, Any]) -> Resources:
    found: Resources = {}
    for resource in root_module["resources"]:
        found.setdefault(resource["type"], []).append({**resource.get("values", {}), "address": resource["address"]})
    return found


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(policy: str) -> list[dict[str, Any]]:
    return as_list(json.loads(policy)["Statement"])


def assert_only_the_load_balancer_is_public(resources: Resources) -> None:
    (balancer,) = resources["aws_lb"]
    assert balancer.get("internal") is not True
    open_to_all = [rule for rule in resources["aws_vpc_security_group_ingress_rule"] if rule.get("cidr_ipv4")]
    assert {rule["address"].partition("[")[0].rpartition(".")[2] for rule in open_to_all} <= {"http", "https"}
    assert {rule["from_port"] for rule in open_to_all} <= {80, 443}
    (database,) = resources["aws_db_instance"]
    assert database["publicly_accessible"] is False
    (service,) = resources["aws_ecs_service"]
    assert service["network_configuration"][0]["assign_public_ip"] is False
    for subnet in resources["aws_subnet"]:
        assert subnet["map_public_ip_on_launch"] is not True


def assert_only_named_paths_reach_tasks(resources: Resources, pages: bool) -> None:
    paths = {
        path
        for rule in resources["aws_lb_listener_rule"]
        for condition in rule["condition"]
        for path in condition["path_pattern"][0]["values"]
    }
    assert {"/ws/*", "/api/*", "/healthz", "/client*.js"} <= paths
    assert ("/" in paths) is pages
    assert not paths & {"/*", "*", "/metrics", "/readyz"}
    for listener in resources["aws_lb_listener"]:
        (default,) = listener["default_action"]
        assert default["type"] in {"redirect", "fixed-response"}


def assert_tls(resources: Resources) -> None:
    (secure,) = (listener for listener in resources["aws_lb_listener"] if listener["protocol"] == "HTTPS")
    assert secure["ssl_policy"].startswith("ELBSecurityPolicy-TLS13-1-2")
    (plain,) = (listener for listener in resources["aws_lb_listener"] if listener["protocol"] == "HTTP")
    assert plain["default_action"][0]["redirect"][0]["status_code"] == "HTTP_301"


def assert_everything_is_encrypted(resources: Resources) -> None:
    (database,) = resources["aws_db_instance"]
    assert database["storage_encrypted"]
    assert database["manage_master_user_password"]
    assert not database.get("password")
    (rotation,) = resources["aws_secretsmanager_secret_rotation"]
    assert rotation["rotation_rules"][0]["automatically_after_days"] == 7
    assert rotation["rotate_immediately"] is False
    (parameters,) = resources["aws_db_parameter_group"]
    assert {"rds.force_ssl": "1"}.items() <= {each["name"]: each["value"] for each in parameters["parameter"]}.items()
    for valkey in resources.get("aws_elasticache_replication_group", []):
        assert valkey["transit_encryption_enabled"]
        assert str(valkey["at_rest_encryption_enabled"]).lower() == "true"
    for group in resources["aws_cloudwatch_log_group"]:
        assert group["retention_in_days"] > 0


def assert_nothing_secret_is_known(resources: Resources) -> None:
    assert "aws_secretsmanager_secret_version" not in resources
    assert "random_password" not in resources


def assert_what_was_checked_is_what_runs(resources: Resources) -> None:
    """The times and sizes of timing.tf, where they have come to: in the containers, the load balancer, the database."""
    definition = definition_of(resources, "service")
    service, watcher = json.loads(definition["container_definitions"])
    settings = {each["name"]: each["value"] for each in service["environment"]}
    heartbeat = int(settings["HEARTBEAT_INTERVAL"]) + int(settings["HEARTBEAT_TIMEOUT"])
    drain, most = int(settings["DRAIN_SECONDS"]), int(settings["MAX_CONNECTIONS"])
    assert int(settings["KEEP_ALIVE"]) > resources["aws_lb"][0]["idle_timeout"] > heartbeat
    public = [each["cidr_block"] for each in resources["aws_subnet"] if "public" in each["tags"]["Name"]]
    assert sorted(settings["FORWARDED_ALLOW_IPS"].split(",")) == sorted(public)
    assert service["stopTimeout"] > drain + 5
    assert int(resources["aws_lb_target_group"][0]["deregistration_delay"]) > drain + 20
    (files,) = service["ulimits"]
    assert files["hardLimit"] == files["softLimit"] >= most + 1000
    (parameters,) = resources["aws_db_parameter_group"]
    database = {each["name"]: each["value"] for each in parameters["parameter"]}
    tasks = resources["aws_appautoscaling_target"][0]["max_capacity"]
    pool = (int(settings["DATABASE_POOL_SIZE"]) + 2) * int(settings["WEB_CONCURRENCY"])
    assert int(database["max_connections"]) >= 2 * tasks * pool + 10
    assert service["cpu"] + watcher["cpu"] == int(definition["cpu"])
    assert service["memory"] + watcher["memory"] == int(definition["memory"])


def assert_containers_are_confined(resources: Resources) -> None:
    for definition in resources["aws_ecs_task_definition"]:
        for container in json.loads(definition["container_definitions"]):
            assert container["user"] == "10001:10001"
            assert container["readonlyRootFilesystem"]
            assert container["linuxParameters"]["capabilities"]["drop"] == ["ALL"]
            names = {each["name"] for each in container["environment"]}
            assert not names & {"SECRET_KEY", "PGPASSWORD", "DATABASE_SERVICE_PASSWORD"}


def definition_of(resources: Resources, kind: str) -> dict[str, Any]:
    (found,) = (each for each in resources["aws_ecs_task_definition"] if each["address"].endswith(f".{kind}"))
    return found


def assert_no_role_may_do_everything(resources: Resources) -> None:
    policies = [
        (policy["role"], policy["policy"]) for policy in resources["aws_iam_role_policy"] if policy.get("policy")
    ]
    assert policies
    for role, policy in policies:
        if any(role.endswith(manager) for manager in MANAGERS):
            continue
        for statement in statements(policy):
            if statement["Effect"] == "Deny":
                continue
            actions, places = as_list(statement["Action"]), as_list(statement["Resource"])
            assert not [action for action in actions if "*" in action], (role, statement)
            if "*" in places:
                assert set(actions) <= FOR_ANY_RESOURCE, (role, statement)


def assert_only_this_repository_is_trusted(resources: Resources, subject_start: str) -> None:
    for role in resources["aws_iam_role"]:
        for statement in statements(role["assume_role_policy"]):
            (kind,) = statement["Principal"]
            conditions = statement["Condition"]
            if kind == "Service":
                assert conditions["StringEquals"]["aws:SourceAccount"].isdigit()
                continue
            assert kind == "Federated"
            equal = conditions["StringEquals"]
            assert list(conditions) == ["StringEquals"]
            assert equal["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
            subject = equal["token.actions.githubusercontent.com:sub"]
            assert subject.startswith(subject_start)
            assert "*" not in subject
            if role["name"].endswith(("-deploy", "-apply-staging", "-apply-production")):
                assert ":environment:" in subject


def assert_roles_are_for_aws_itself(resources: Resources) -> None:
    """GitHub's are made by infra/bootstrap, where no environment can change whom they trust."""
    for role in resources["aws_iam_role"]:
        assert [list(each["Principal"]) for each in statements(role["assume_role_policy"])] == [["Service"]]


def assert_roles_are_bounded(resources: Resources) -> None:
    assert [role["name"] for role in resources["aws_iam_role"] if not role.get("permissions_boundary")] == []
