# The key that signs tokens. Terraform makes the place; the first deployment from a laptop makes the value, so that it is
# in no state and no plan. RDS keeps the database's password itself (database.tf).

resource "aws_secretsmanager_secret" "secret_key" {
  #checkov:skip=CKV2_AWS_57:it rotates in three steps with deployments between them (docs/operations.md)
  name                    = "${var.project}/${var.environment}/secret-key"
  description             = "SECRET_KEY: comma-separated, the first signs, all verify"
  kms_key_id              = aws_kms_key.main.arn
  recovery_window_in_days = local.production ? 30 : 0
}
