"""Who gets in, and what they may do then: the policies of infra/bootstrap, decided as IAM decides."""

import json
import re
from pathlib import Path

import pytest

from tests import exposure
from tests.bakery import bake
from tests.cloud import ACCOUNT, GITHUB_IDS, REGION, Terraform, simulated_cloud
from tests.exposure import Resources, by_type
from tests.policies import Context, allows, lets_in

pytestmark = [pytest.mark.needs("terraform")]

REPOSITORY = "example/live-service"
OTHERS = {"staging": "production", "production": "staging"}
OWNER_ID, REPOSITORY_ID = (value.partition("=")[2] for value in GITHUB_IDS)


@pytest.fixture(scope="module")
def infra(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bake(template, tmp_path_factory.mktemp("rights"), domain_name="example.com") / "infra"


def planned(infra: Path, *choices: str) -> Resources:
    with simulated_cloud(infra.parent) as cloud:
        terraform = Terraform(infra / "bootstrap", cloud.environment)
        terraform.run("init", "-input=false", "-lockfile=readonly")
        terraform.run("plan", "-input=false", "-out=plan", *(f"-var={choice}" for choice in choices))
        plan = json.loads(terraform.run("show", "-json", "plan"))
    return by_type(plan["planned_values"]["root_module"])


@pytest.fixture(scope="module")
def account(infra: Path) -> Resources:
    """A new repository's."""
    return planned(infra, *GITHUB_IDS)


@pytest.fixture(scope="module")
def old_account(infra: Path) -> Resources:
    """That of a repository whose tokens still hold names alone."""
    return planned(infra, "github_subject=name")


def trust_of(resources: Resources, role: str) -> str:
    (found,) = (each for each in resources["aws_iam_role"] if each["name"] == f"live-service-{role}")
    return str(found["assume_role_policy"])


def rights_of(resources: Resources, role: str) -> str:
    (found,) = (
        each
        for each in resources["aws_iam_role_policy"]
        if each["address"].endswith(f'["{role.removeprefix("apply-")}"]')
        and each["address"].startswith(f"aws_iam_role_policy.{role.partition('-')[0]}[")
    )
    return str(found["policy"])


def boundary_of(resources: Resources, environment: str) -> str:
    (found,) = (each for each in resources["aws_iam_policy"] if each["name"] == f"live-service-{environment}-boundary")
    return str(found["policy"])


def token(rest: str, workflow: str, *, owner: str = OWNER_ID, repository: str = REPOSITORY_ID) -> dict[str, str]:
    """The claims of a job on main, as GitHub signs them for a repository made since July 2026."""
    return {
        "aud": "sts.amazonaws.com",
        "sub": f"repo:example@{owner}/live-service@{repository}:{rest}",
        "repository_id": repository,
        "ref": "refs/heads/main",
        "job_workflow_ref": f"{REPOSITORY}/.github/workflows/{workflow}.yml@refs/heads/main",
        **({"environment": rest.partition(":")[2]} if rest.startswith("environment:") else {}),
    }


DOORS = [
    ("publish", "ref:refs/heads/main", "deploy"),
    ("plan", "pull_request", "terraform"),
    ("plan-production", "ref:refs/heads/main", "terraform"),
    ("apply-staging", "environment:staging-infrastructure", "terraform"),
    ("apply-production", "environment:production-infrastructure", "terraform"),
    ("staging-deploy", "environment:staging", "deploy"),
    ("production-deploy", "environment:production", "deploy"),
    ("production-deploy", "environment:production", "promote"),
]


@pytest.mark.parametrize(("role", "rest", "workflow"), DOORS)
def test_a_role_is_for_one_job_of_this_very_repository(account: Resources, role: str, rest: str, workflow: str) -> None:
    trust, good = trust_of(account, role), token(rest, workflow)
    assert lets_in(trust, good)
    assert not lets_in(trust, token(rest, workflow, repository="999")), "another repository that has the name now"
    assert not lets_in(trust, token(rest, workflow, owner="999")), "another owner who has the name now"
    assert not lets_in(trust, {**good, "sub": f"repo:{REPOSITORY}:{rest}"}), "a subject without ids"
    assert not lets_in(trust, {**good, "repository_id": "999"})
    assert not lets_in(trust, {**good, "aud": "elsewhere"})
    for _, other, file in DOORS:
        if other != rest:
            assert not lets_in(trust, token(other, file))
    if role != "plan":
        assert not lets_in(trust, {**good, "ref": "refs/heads/mine"})
        assert not lets_in(trust, {**good, "job_workflow_ref": f"{REPOSITORY}/.github/workflows/x.yml@refs/heads/main"})


def test_the_old_subject_is_trusted_where_it_is_asked_for_and_then_alone(old_account: Resources) -> None:
    trust = trust_of(old_account, "staging-deploy")
    new = token("environment:staging", "deploy")
    assert lets_in(trust, {**new, "sub": f"repo:{REPOSITORY}:environment:staging"})
    assert not lets_in(trust, new)
    exposure.assert_only_this_repository_is_trusted(old_account, f"repo:{REPOSITORY}:")


def test_no_subject_has_a_wildcard(account: Resources) -> None:
    exposure.assert_only_this_repository_is_trusted(account, f"repo:example@{OWNER_ID}/live-service@{REPOSITORY_ID}:")


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("github_owner_id=1", "gh api repos/OWNER/NAME"),
        ("github_repository_id=1.5", "must be a whole number"),
        ("github_repository=example@1/live-service@2", "The ids have variables of their own"),
        ("github_subject=both", "github_subject must be immutable, or name"),
    ],
)
def test_a_wrong_identity_is_refused_with_what_to_do(infra: Path, choice: str, sentence: str) -> None:
    with simulated_cloud(infra.parent) as cloud:
        terraform = Terraform(infra / "bootstrap", cloud.environment)
        terraform.run("init", "-input=false", "-lockfile=readonly")
        refused = terraform.attempt("plan", "-input=false", f"-var={choice}")
    assert refused.returncode == 1
    assert sentence in " ".join(refused.stderr.replace("│", " ").split())


def arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def tags(environment: str, project: str = "live-service") -> Context:
    return {
        "aws:RequestedRegion": REGION,
        "aws:ResourceTag/Environment": environment,
        "aws:ResourceTag/Project": project,
    }


def dangers(environment: str) -> list[tuple[str, str, Context]]:
    """What somebody with a grudge would try on an environment: the action, the resource, and what IAM knows of it."""
    name, tagged = f"live-service-{environment}", tags(environment)
    untagged: Context = {"aws:RequestedRegion": REGION}
    role = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    bounded: Context = {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{name}-boundary"}
    return [
        ("rds:DeleteDBInstance", arn("rds", f"db:{name}"), untagged),
        ("rds:ModifyDBInstance", arn("rds", f"db:{name}"), tagged),
        ("rds:CreateDBSnapshot", arn("rds", f"db:{name}"), untagged),
        ("rds:RestoreDBInstanceFromDBSnapshot", arn("rds", "snapshot:any"), tagged),
        ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:live-service/x/secret-key-AbCdEf"), untagged),
        ("secretsmanager:PutSecretValue", arn("secretsmanager", f"secret:live-service/{environment}/key"), untagged),
        ("secretsmanager:PutResourcePolicy", arn("secretsmanager", "secret:rds!db-1-AbCdEf"), tagged),
        ("kms:Decrypt", arn("kms", "key/1"), tagged),
        ("kms:PutKeyPolicy", arn("kms", "key/1"), tagged),
        ("kms:ScheduleKeyDeletion", arn("kms", "key/1"), tagged),
        ("kms:UntagResource", arn("kms", "key/1"), tagged),
        ("kms:UpdateAlias", arn("kms", f"alias/{name}-state"), untagged),
        ("ecs:UpdateService", arn("ecs", f"service/{name}/{name}"), untagged),
        ("ecs:DeleteCluster", arn("ecs", f"cluster/{name}"), untagged),
        ("ecs:RunTask", arn("ecs", f"task-definition/{name}:7"), untagged),
        ("ecs:ExecuteCommand", arn("ecs", f"cluster/{name}"), untagged),
        ("elasticloadbalancing:ModifyListener", arn("elasticloadbalancing", f"listener/app/{name}/1/2"), untagged),
        ("elasticloadbalancing:DeleteTargetGroup", arn("elasticloadbalancing", f"targetgroup/{name}/1"), untagged),
        ("elasticache:DeleteReplicationGroup", arn("elasticache", f"replicationgroup:{name}"), untagged),
        ("logs:GetLogEvents", arn("logs", f"log-group:/live-service/{environment}/service:log-stream:x"), untagged),
        ("logs:DeleteLogGroup", arn("logs", f"log-group:/live-service/{environment}/service"), untagged),
        ("cloudwatch:DeleteAlarms", arn("cloudwatch", f"alarm:{name}-service-5xx"), untagged),
        ("sns:DeleteTopic", arn("sns", f"{name}-alarms"), untagged),
        ("ssm:PutParameter", arn("ssm", f"parameter/live-service/{environment}/deployment"), untagged),
        ("wafv2:DeleteWebACL", arn("wafv2", f"regional/webacl/{name}/1"), untagged),
        ("ec2:AuthorizeSecurityGroupIngress", arn("ec2", "security-group/sg-1"), tagged),
        ("ec2:DeleteRoute", arn("ec2", "route-table/rtb-1"), tagged),
        ("ec2:DeleteTags", arn("ec2", "vpc/vpc-1"), tagged),
        ("ec2:ReplaceNetworkAclEntry", arn("ec2", "network-acl/acl-1"), untagged),
        ("ec2:RunInstances", arn("ec2", "subnet/subnet-1"), untagged),
        ("acm:DeleteCertificate", arn("acm", "certificate/1"), tagged),
        ("application-autoscaling:PutScalingPolicy", arn("application-autoscaling", "scalable-target/1"), tagged),
        ("iam:PassRole", f"{role}-task", {}),
        ("iam:PutRolePolicy", f"{role}-task", bounded),
        ("iam:UpdateAssumeRolePolicy", f"{role}-deploy", {}),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/live-service-apply-{environment}", {}),
        ("iam:CreatePolicyVersion", f"arn:aws:iam::{ACCOUNT}:policy/{name}-boundary", {}),
        ("s3:GetObject", f"arn:aws:s3:::{name}-tfstate-{ACCOUNT}/{environment}.tfstate", {}),
        ("s3:PutObject", f"arn:aws:s3:::{name}-tfstate-{ACCOUNT}/{environment}.tfstate", {}),
        ("s3:DeleteObject", f"arn:aws:s3:::{name}-tfstate-{ACCOUNT}/{environment}.tfstate.tflock", {}),
        ("sts:AssumeRole", f"{role}-deploy", {}),
    ]  # fmt: skip


@pytest.mark.parametrize("environment", OTHERS)
def test_who_may_change_one_environment_can_do_nothing_to_the_other(account: Resources, environment: str) -> None:
    apply, boundary = rights_of(account, f"apply-{environment}"), boundary_of(account, environment)
    everything = json.dumps({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})
    for action, resource, context in dangers(OTHERS[environment]):
        assert not allows(apply, action, resource, context), (action, resource)
        assert not allows(everything, action, resource, context, boundary), (action, resource)


def test_the_names_of_one_environment_are_all_that_it_can_point_elsewhere(account: Resources) -> None:
    apply, zone = rights_of(account, "apply-staging"), "arn:aws:route53:::hostedzone/Z1"
    key = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
    assert allows(apply, "route53:ChangeResourceRecordSets", zone, {key: ["staging.example.com"]})
    assert allows(apply, "route53:ChangeResourceRecordSets", zone, {key: ["_1a2b.staging.example.com"]})
    for name in ("example.com", "_1a2b.example.com", "www.example.com"):
        assert not allows(apply, "route53:ChangeResourceRecordSets", zone, {key: ["staging.example.com", name]})


@pytest.mark.parametrize("environment", OTHERS)
def test_an_environment_can_be_managed_by_its_own_role(account: Resources, environment: str) -> None:
    apply, name, own = rights_of(account, f"apply-{environment}"), f"live-service-{environment}", tags(environment)
    new: Context = {"aws:RequestedRegion": REGION}
    boundary: Context = {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/{name}-boundary", **own}
    for action, resource, context in [
        ("rds:CreateDBInstance", arn("rds", f"db:{name}"), new),
        ("rds:ModifyDBInstance", arn("rds", f"db:{name}"), own),
        ("rds:CreateDBInstance", arn("rds", "og:default:postgres-17"), new),
        ("ec2:CreateVpc", arn("ec2", "vpc/*"), new),
        ("ec2:CreateSubnet", arn("ec2", "vpc/vpc-1"), own),
        ("kms:GenerateDataKey", arn("kms", "key/1"), own),
        ("ecs:CreateService", arn("ecs", f"service/{name}/{name}"), new),
        ("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/{name}-task", boundary),
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/{name}-deploy", boundary),
        ("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{name}-task", own),
        ("s3:PutObject", f"arn:aws:s3:::{name}-tfstate-{ACCOUNT}/{environment}.tfstate", own),
    ]:
        assert allows(apply, action, resource, context), (action, resource)
    unbounded = {**boundary, "iam:PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}
    assert not allows(apply, "iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/{name}-task", unbounded)
    assert not allows(apply, "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/{name}-deploy", own)


def test_nobody_touches_other_projects(account: Resources) -> None:
    apply = rights_of(account, "apply-staging")
    assert not allows(apply, "rds:DeleteDBInstance", arn("rds", "db:shop"), tags("staging", "shop"))
    assert not allows(apply, "kms:Decrypt", arn("kms", "key/1"), tags("bootstrap"))


READS = [
    ("ssm:GetParameter", arn("ssm", "parameter/other/password")),
    ("ssm:GetParametersByPath", arn("ssm", "parameter/live-service")),
    ("dynamodb:GetItem", arn("dynamodb", "table/x")),
    ("dynamodb:GetRecords", arn("dynamodb", "table/x/stream/y")),
    ("lambda:GetFunction", arn("lambda", "function:x")),
    ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:live-service/staging/secret-key-AbCdEf")),
    ("logs:GetLogEvents", arn("logs", "log-group:/live-service/staging/service:log-stream:x")),
    ("logs:FilterLogEvents", arn("logs", "log-group:/live-service/staging/service")),
    ("ec2:DescribeInstanceAttribute", arn("ec2", "instance/i-1")),
    ("ec2:GetConsoleOutput", arn("ec2", "instance/i-1")),
    ("rds:DownloadDBLogFilePortion", arn("rds", "db:live-service-staging")),
    ("sqs:ReceiveMessage", arn("sqs", "x")),
    ("ecr:BatchGetImage", arn("ecr", "repository/live-service")),
    ("s3:GetObject", "arn:aws:s3:::anything/else"),
    ("s3:GetObject", f"arn:aws:s3:::live-service-bootstrap-tfstate-{ACCOUNT}/bootstrap.tfstate"),
    ("s3:PutObject", f"arn:aws:s3:::live-service-staging-tfstate-{ACCOUNT}/plans/1.tfplan"),
    ("s3:PutObject", f"arn:aws:s3:::live-service-staging-tfstate-{ACCOUNT}/staging.tfstate"),
    ("cloudformation:GetTemplate", arn("cloudformation", "stack/x")),
]


def test_the_code_of_a_pull_request_can_read_no_data(account: Resources) -> None:
    plan = rights_of(account, "plan")
    for action, resource in READS:
        assert not allows(plan, action, resource, tags("staging")), action
    assert allows(plan, "rds:DescribeDBInstances", arn("rds", "db:x"))
    assert allows(plan, "s3:GetObject", f"arn:aws:s3:::live-service-staging-tfstate-{ACCOUNT}/staging.tfstate")
    for statement in exposure.statements(plan):
        for action in exposure.as_list(statement["Action"]):
            assert re.match(r"[\w-]+:(Describe|Get|List)\w*\*?$|kms:(Decrypt|GenerateDataKey)$", action), action
    assert not [role for role in account.get("aws_iam_role_policy_attachment", []) if "plan" in role["role"]]


def test_a_plan_of_main_can_be_kept_for_its_own_environment(account: Resources) -> None:
    plan = rights_of(account, "plan-production")
    assert allows(plan, "s3:PutObject", f"arn:aws:s3:::live-service-production-tfstate-{ACCOUNT}/plans/1.tfplan")
    assert not allows(
        plan, "s3:PutObject", f"arn:aws:s3:::live-service-production-tfstate-{ACCOUNT}/production.tfstate"
    )
    assert not allows(plan, "s3:PutObject", f"arn:aws:s3:::live-service-staging-tfstate-{ACCOUNT}/plans/1.tfplan")


def test_policies_are_as_short_as_iam_takes_them(account: Resources) -> None:
    """10,240 characters for those of a role, 6,144 for one of its own, 2,048 for whom a role trusts: the default."""
    for role in account["aws_iam_role_policy"]:
        assert len(compact(role["policy"])) < 10_240
    for policy in account["aws_iam_policy"]:
        assert len(compact(policy["policy"])) < 6_144
    for role in account["aws_iam_role"]:
        assert len(compact(role["assume_role_policy"])) < 2_048
        assert role["max_session_duration"] == 7200


def compact(policy: str) -> str:
    return json.dumps(json.loads(policy), separators=(",", ":"))
