# What a deployment may do. Who may deploy is said where this configuration cannot change it: infra/bootstrap/github.tf.

data "aws_iam_policy_document" "deploy" {
  statement {
    sid       = "KnowTheEnvironment"
    actions   = ["ssm:GetParameter"]
    resources = [aws_ssm_parameter.deployment.arn]
  }

  statement {
    sid       = "FindTheImage"
    actions   = ["ecr:DescribeImages"]
    resources = [local.images_arn]
  }

  statement {
    sid       = "RegisterDefinitions"
    actions   = ["ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition"]
    resources = ["*"] # ECS knows no other for these
  }

  statement {
    sid       = "RollOut"
    actions   = ["ecs:DescribeServices", "ecs:UpdateService"]
    resources = [aws_ecs_service.main.id]
  }

  statement {
    sid       = "RunMigrations"
    actions   = ["ecs:RunTask"]
    resources = ["${local.arn_prefix}:ecs:${local.region_arn}:task-definition/${aws_ecs_task_definition.migration.family}:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [aws_ecs_cluster.main.arn]
    }
  }

  statement {
    sid       = "WatchMigrations"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["${local.arn_prefix}:ecs:${local.region_arn}:task/${local.name}/*"]
  }

  statement {
    sid     = "TagWhatItStarts"
    actions = ["ecs:TagResource"]
    resources = [
      "${local.arn_prefix}:ecs:${local.region_arn}:task-definition/${local.name}:*",
      "${local.arn_prefix}:ecs:${local.region_arn}:task-definition/${aws_ecs_task_definition.migration.family}:*",
      "${local.arn_prefix}:ecs:${local.region_arn}:task/${local.name}/*",
    ]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RegisterTaskDefinition", "RunTask"]
    }
  }

  statement {
    sid       = "PassTheTaskRoles"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.execution.arn, aws_iam_role.migration.arn, aws_iam_role.task.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    sid       = "ReadLogs"
    actions   = ["logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.service.arn}:*"]
  }

  # For the smoke test's token. Who may run tasks can read what tasks are given anyway.
  statement {
    sid       = "SignOneToken"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_secretsmanager_secret.secret_key.arn]
  }

  statement {
    sid       = "ChangeTheOwnersPassword"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:RotateSecret"]
    resources = [aws_db_instance.main.master_user_secret[0].secret_arn]
  }

  statement {
    sid       = "ChangeTheServicesPassword"
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"]
    resources = [aws_secretsmanager_secret.database.arn]
  }

  statement {
    sid       = "DecryptAndEncryptSecrets"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.main.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["secretsmanager.${var.aws_region}.${local.dns_suffix}"]
    }
  }

  statement {
    sid       = "KeepTerraformOut"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${local.arn_prefix}:s3:::${local.state_bucket}/${local.state_key}.tflock"]
  }

  statement {
    sid       = "EncryptTheLock"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["${local.arn_prefix}:kms:${local.region_arn}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.aws_region}.${local.dns_suffix}"]
    }

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/${local.name}-state"]
    }
  }
}

resource "aws_iam_role_policy" "deploy" {
  name   = "deploy"
  role   = local.deploy_role
  policy = data.aws_iam_policy_document.deploy.json
}
