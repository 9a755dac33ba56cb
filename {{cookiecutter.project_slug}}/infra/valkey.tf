# Valkey, when events between tasks outgrow PostgreSQL's NOTIFY. Events pass through; nothing in it is worth keeping.

resource "aws_elasticache_subnet_group" "main" {
  count = var.valkey ? 1 : 0

  name       = local.name
  subnet_ids = [for subnet in aws_subnet.private : subnet.id]
}

resource "aws_elasticache_parameter_group" "main" {
  count = var.valkey ? 1 : 0

  name        = local.name
  family      = "valkey8"
  description = "Subscribers that do not read are cut before they fill the memory"

  parameter {
    name  = "client-output-buffer-limit-pubsub-hard-limit"
    value = "33554432"
  }
}

resource "aws_elasticache_replication_group" "main" {
  #checkov:skip=CKV_AWS_31:only the tasks can reach it, and what passes through is what clients are sent anyway
  #checkov:skip=CKV2_AWS_50:with a second server in another zone in production
  count = var.valkey ? 1 : 0

  replication_group_id = local.name
  description          = "Events between the tasks of ${local.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.valkey_node_type
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.main[0].name
  subnet_group_name    = aws_elasticache_subnet_group.main[0].name
  security_group_ids   = [aws_security_group.valkey.id]

  num_cache_clusters         = local.production ? 2 : 1
  automatic_failover_enabled = local.production
  multi_az_enabled           = local.production

  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.main.arn

  auto_minor_version_upgrade = true
  apply_immediately          = !local.production
  maintenance_window         = "sun:04:30-sun:05:30"
}
