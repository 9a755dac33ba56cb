# What people and workflows need to know after `make apply`.

output "url" {
  description = "Where the service answers; the smoke test of a deployment goes there."
  value       = "${local.tls ? "https" : "http"}://${local.host}"
}

output "deploy_role_arn" {
  description = "The role that deploy.yml assumes."
  value       = "${local.account_arn}:role/${local.deploy_role}"
}

output "alarm_topic_arn" {
  description = "Where alarms go; subscribe a pager here."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard" {
  description = "The page to look at first."
  value       = "https://${var.aws_region}.console.aws.amazon.com/cloudwatch/home?region=${var.aws_region}#dashboards/dashboard/${aws_cloudwatch_dashboard.main.dashboard_name}"
}
