# What `terraform apply` may do, after the approval that GitHub's environment asks for: manage the services that infra/
# uses, in this region; and roles, but only those named after the environment, and none with more rights than the boundary.

locals {
  account_arn = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}"
}

data "aws_iam_policy_document" "apply" {
  #checkov:skip=CKV_AWS_107:Terraform manages secrets; reading their values is denied below
  #checkov:skip=CKV_AWS_108:see CKV_AWS_107
  #checkov:skip=CKV_AWS_109:the role manages an environment: it has each service's management actions, in one region
  #checkov:skip=CKV_AWS_111:see CKV_AWS_109
  #checkov:skip=CKV_AWS_356:most resources have no name before they exist; the region bounds them
  for_each = var.environments

  statement {
    sid = "ManageServices"
    actions = [
      "acm:*",
      "application-autoscaling:*",
      "cloudwatch:*",
      "ec2:*",
      "ecs:*",
      "elasticache:*",
      "elasticloadbalancing:*",
      "kms:*",
      "logs:*",
      "rds:*",
      "secretsmanager:*",
      "sns:*",
      "ssm:*",
      "wafv2:*",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.aws_region]
    }
  }

  statement {
    sid       = "ManageNames"
    actions   = ["route53:ChangeResourceRecordSets", "route53:GetChange", "route53:GetHostedZone", "route53:List*"]
    resources = ["*"]
  }

  statement {
    sid       = "NoSecrets"
    effect    = "Deny"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["*"]
  }

  statement {
    sid       = "CreateBoundedRoles"
    actions   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:AttachRolePolicy"]
    resources = ["${local.account_arn}:role/${var.project}-${each.key}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [aws_iam_policy.boundary.arn]
    }
  }

  statement {
    sid = "ManageRoles"
    actions = [
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PassRole",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = ["${local.account_arn}:role/${var.project}-${each.key}-*"]
  }

  statement {
    sid       = "ReadRoles"
    actions   = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:List*"]
    resources = ["*"]
  }

  statement {
    sid       = "CreateServiceLinkedRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.account_arn}:role/aws-service-role/*"]
  }

  statement {
    sid       = "ReadAndWriteState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/${each.key}.tfstate", "${aws_s3_bucket.state.arn}/${each.key}.tfstate.tflock"]
  }

  statement {
    sid       = "UnlockState"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.state.arn}/${each.key}.tfstate.tflock"]
  }

  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.state.arn]
  }
}

resource "aws_iam_role_policy" "apply" {
  for_each = var.environments

  name   = "manage-${each.key}"
  role   = aws_iam_role.github["apply-${each.key}"].id
  policy = data.aws_iam_policy_document.apply[each.key].json
}

# The most that a role of an environment can ever do, whatever its policies say.
data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_107:a boundary gives nothing, it limits; roles get their rights by resource
  #checkov:skip=CKV_AWS_108:see CKV_AWS_107
  #checkov:skip=CKV_AWS_109:see CKV_AWS_107
  #checkov:skip=CKV_AWS_111:see CKV_AWS_107
  #checkov:skip=CKV_AWS_356:see CKV_AWS_107
  statement {
    sid = "TasksAndDeployments"
    actions = [
      "cloudwatch:PutMetricData",
      "ec2:DescribeNetworkInterfaces",
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:DescribeImages",
      "ecr:GetAuthorizationToken",
      "ecr:GetDownloadUrlForLayer",
      "ecs:DescribeServices",
      "ecs:DescribeTaskDefinition",
      "ecs:DescribeTasks",
      "ecs:RegisterTaskDefinition",
      "ecs:RunTask",
      "ecs:StopTask",
      "ecs:TagResource",
      "ecs:UpdateService",
      "iam:PassRole",
      "kms:Decrypt",
      "kms:GenerateDataKey",
      "logs:*",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:PutObject",
      "secretsmanager:DescribeSecret",
      "secretsmanager:GetSecretValue",
      "secretsmanager:RotateSecret",
      "ssm:GetParameter",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_policy" "boundary" {
  name        = "${var.project}-boundary"
  description = "The most that a role of ${var.project}'s environments can do"
  policy      = data.aws_iam_policy_document.boundary.json
}
