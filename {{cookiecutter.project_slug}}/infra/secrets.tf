# The key that signs tokens, and the password that the service logs in to the database with. Terraform makes the places;
# the first deployment from a laptop makes the values, so that they are in no state and no plan. RDS keeps the password of
# the database's owner itself (database.tf).

resource "aws_secretsmanager_secret" "secret_key" {
  #checkov:skip=CKV2_AWS_57:it rotates in three steps with deployments between them (docs/operations.md)
  name                    = "${var.project}/${var.environment}/secret-key"
  description             = "SECRET_KEY: comma-separated, the first signs, all verify"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = local.production ? 30 : 0
}

resource "aws_secretsmanager_secret" "database" {
  #checkov:skip=CKV2_AWS_57:each change replaces the tasks, so people do it (make rotate-database)
  name                    = "${var.project}/${var.environment}/database"
  description             = "The password of the database's user for the service"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = local.production ? 30 : 0
}

# RDS changes the owner's password by itself. Nobody notices: a migration reads it when it starts, and nothing else does.
resource "aws_secretsmanager_secret_rotation" "database" {
  #checkov:skip=CKV_AWS_304:how often is a variable
  secret_id          = aws_db_instance.main.master_user_secret[0].secret_arn
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.database_password_days
  }
}
