# The most that a role of an environment can ever do, whatever its policies say: with what is the environment's own, by
# name, and by the tag where things have no name. Where a task of yours needs more (a bucket, a queue), add it here.

data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_AWS_107:a boundary gives nothing, it limits; roles get their rights by resource
  #checkov:skip=CKV_AWS_108:see CKV_AWS_107
  #checkov:skip=CKV_AWS_109:see CKV_AWS_107
  #checkov:skip=CKV_AWS_111:see CKV_AWS_107
  #checkov:skip=CKV_AWS_356:see CKV_AWS_107
  for_each = var.environments

  statement {
    sid = "WithoutAnOwner"
    actions = [
      "ecr:GetAuthorizationToken",
      "ecs:DescribeTaskDefinition",
      "ecs:RegisterTaskDefinition",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]
    resources = ["${local.arn_prefix}:ecr:${var.aws_region}:*:repository/${var.project}"]
  }

  statement {
    sid = "RunTasks"
    actions = [
      "ecs:DescribeServices",
      "ecs:DescribeTasks",
      "ecs:RunTask",
      "ecs:StopTask",
      "ecs:TagResource",
      "ecs:UpdateService",
    ]
    resources = [
      "${local.arn_prefix}:ecs:${local.region_arn}:service/${var.project}-${each.key}/*",
      "${local.arn_prefix}:ecs:${local.region_arn}:task/${var.project}-${each.key}/*",
      "${local.arn_prefix}:ecs:${local.region_arn}:task-definition/${var.project}-${each.key}:*",
      "${local.arn_prefix}:ecs:${local.region_arn}:task-definition/${var.project}-${each.key}-migration:*",
    ]
  }

  statement {
    sid       = "PassRoles"
    actions   = ["iam:PassRole"]
    resources = ["${local.account_arn}:role/${var.project}-${each.key}-*"]
  }

  statement {
    sid     = "ReadSecrets"
    actions = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue", "secretsmanager:RotateSecret"]
    # RDS names its secrets itself; the environment's key, without which none can be read, tells them apart.
    resources = [
      "${local.arn_prefix}:secretsmanager:${local.region_arn}:secret:${var.project}/${each.key}/*",
      "${local.arn_prefix}:secretsmanager:${local.region_arn}:secret:rds!db-*",
    ]
  }

  statement {
    sid       = "ChangeTheServicesPassword"
    actions   = ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"]
    resources = ["${local.arn_prefix}:secretsmanager:${local.region_arn}:secret:${var.project}/${each.key}/database-*"]
  }

  statement {
    sid       = "UseKeys"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["${local.arn_prefix}:kms:${local.region_arn}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Project"
      values   = [var.project]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/Environment"
      values   = [each.key]
    }
  }

  statement {
    sid     = "Logs"
    actions = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents", "logs:PutRetentionPolicy"]
    resources = [
      "${local.arn_prefix}:logs:${local.region_arn}:log-group:/${var.project}/${each.key}/*",
      "${local.arn_prefix}:logs:${local.region_arn}:log-group:RDSOSMetrics*", # of all databases of an account
    ]
  }

  statement {
    sid       = "KnowTheDeployment"
    actions   = ["ssm:GetParameter"]
    resources = ["${local.arn_prefix}:ssm:${local.region_arn}:parameter/${var.project}/${each.key}/*"]
  }

  statement {
    sid       = "KeepTerraformOut"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.arn_prefix}:s3:::${local.state_buckets[each.key]}/${each.key}.tfstate.tflock"]
  }
}

resource "aws_iam_policy" "boundary" {
  for_each = var.environments

  name        = "${var.project}-${each.key}-boundary"
  description = "The most that a role of ${var.project}'s ${each.key} can do"
  policy      = data.aws_iam_policy_document.boundary[each.key].json
}
