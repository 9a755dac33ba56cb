# What brings the database up to date, before each rollout: the same image, as the owner of the database. Only this task is
# given the owner's password; it lets the user in that the service runs as. Terraform keeps a pattern, as in task.tf.

resource "aws_ecs_task_definition" "migration" {
  family                   = "${local.name}-migration"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.migration.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([
    merge(local.confined, {
      name    = local.container
      command = ["python", "-m", "service", "migrate"]

      environment = [for name, value in merge(local.settings, {
        DATABASE_URL          = "postgresql://${aws_db_instance.main.username}@${local.database}"
        DATABASE_SERVICE_USER = local.database_user
      }) : { name = name, value = value }]

      secrets = [for name, value in merge(local.secrets, {
        PGPASSWORD                = "${aws_db_instance.main.master_user_secret[0].secret_arn}:password::"
        DATABASE_SERVICE_PASSWORD = aws_secretsmanager_secret.database.arn
      }) : { name = name, valueFrom = value }]
    }),
  ])
}

data "aws_iam_policy_document" "migration" {
  source_policy_documents = [data.aws_iam_policy_document.execution.json]

  statement {
    sid       = "InjectTheOwnersPassword"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [aws_db_instance.main.master_user_secret[0].secret_arn]
  }
}

resource "aws_iam_role" "migration" {
  name                 = "${local.name}-migration"
  description          = "Starts migrations: image, secrets with the database owner's, log stream"
  assume_role_policy   = data.aws_iam_policy_document.tasks_trust.json
  permissions_boundary = local.boundary_arn
}

resource "aws_iam_role_policy" "migration" {
  name   = "start-migrations"
  role   = aws_iam_role.migration.id
  policy = data.aws_iam_policy_document.migration.json
}
