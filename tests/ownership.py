"""Who owns the database, and who only uses it."""

import json

from tests.exposure import Resources, definition_of
from tests.policies import allows

READ = "secretsmanager:GetSecretValue"


def assert_only_migrations_own_the_database(resources: Resources) -> None:
    """The service logs in as another user, and no role but the migrations' can read the owner's password."""
    (database,), (rotation,) = resources["aws_db_instance"], resources["aws_secretsmanager_secret_rotation"]
    owners = rotation["secret_id"]
    (services,) = (each["arn"] for each in resources["aws_secretsmanager_secret"] if each["name"].endswith("/database"))
    serving, migrating = (given(resources, kind) for kind in ("service", "migration"))
    assert migrating["DATABASE_URL"].startswith(f"postgresql://{database['username']}@")
    assert serving["DATABASE_URL"].startswith(f"postgresql://{migrating['DATABASE_SERVICE_USER']}@")
    assert migrating["DATABASE_SERVICE_USER"] != database["username"]
    assert migrating["PGPASSWORD"] == f"{owners}:password::"
    assert serving["PGPASSWORD"] == migrating["DATABASE_SERVICE_PASSWORD"] == services

    policies = {each["role"]: each["policy"] for each in resources["aws_iam_role_policy"]}
    roles = {each["arn"]: each["name"] for each in resources["aws_iam_role"]}
    starters = {kind: roles[definition_of(resources, kind)["execution_role_arn"]] for kind in ("service", "migration")}
    assert [role for role, policy in policies.items() if allows(policy, READ, owners)] == [starters["migration"]]
    assert all(allows(policies[role], READ, services) for role in starters.values())


def given(resources: Resources, kind: str) -> dict[str, str]:
    """What a container is told: its settings, and where its secrets are."""
    container = json.loads(definition_of(resources, kind)["container_definitions"])[0]
    assert "sslmode=verify-full&sslrootcert=/etc/ssl/rds-ca.pem" in str(container["environment"])
    return {
        each["name"]: each.get("value", each.get("valueFrom"))
        for each in container["environment"] + container["secrets"]
    }
