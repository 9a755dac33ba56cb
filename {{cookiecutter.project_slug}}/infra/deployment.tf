# What a deployment has to know about the environment (python -m infra.deploy reads it), so that it needs no Terraform state.

resource "aws_ssm_parameter" "deployment" {
  #checkov:skip=CKV2_AWS_34:names and addresses, no secret
  #checkov:skip=CKV_AWS_337:see CKV2_AWS_34
  name        = "/${var.project}/${var.environment}/deployment"
  description = "What a deployment has to know"
  type        = "String"

  value = jsonencode({
    cluster          = aws_ecs_cluster.main.name
    service          = aws_ecs_service.main.name
    container        = local.container
    task_definition  = aws_ecs_task_definition.service.arn
    migration        = aws_ecs_task_definition.migration.arn
    image_account    = local.image_account
    image_repository = local.image_repository
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.tasks.id]
    min_tasks        = var.min_tasks
    log_group        = aws_cloudwatch_log_group.service.name
    secret_key       = var.jwks_url == "" ? aws_secretsmanager_secret.secret_key.arn : ""
    owner_password   = aws_db_instance.main.master_user_secret[0].secret_arn
    service_password = aws_secretsmanager_secret.database.arn
    url              = "${local.tls ? "https" : "http"}://${local.host}"
    subject_type     = var.jwt_subject_type
    rollout_seconds  = 600 + var.deregistration_delay + var.stop_timeout
  })
}
