# The key that signs tokens. Terraform makes the place; the first deployment from a laptop makes the value, so that it is
# in no state and no plan. RDS keeps the database's password itself (database.tf).

resource "aws_secretsmanager_secret" "secret_key" {
  #checkov:skip=CKV2_AWS_57:it rotates in three steps with deployments between them (docs/operations.md)
  name                    = "${var.project}/${var.environment}/secret-key"
  description             = "SECRET_KEY: comma-separated, the first signs, all verify"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = local.production ? 30 : 0
}

# RDS would change the password every seven days, behind the back of running tasks: they know the one they started with.
resource "aws_secretsmanager_secret_rotation" "database" {
  #checkov:skip=CKV_AWS_304:how often is a variable; each change replaces the tasks, so people do it (make rotate-database)
  secret_id          = aws_db_instance.main.master_user_secret[0].secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.database_password_days
  }
}
