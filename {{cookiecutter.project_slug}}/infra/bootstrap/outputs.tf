# What the deployment guide copies into the repository's settings.

output "state_buckets" {
  description = "The buckets of state; python -m infra.deploy finds them by their names."
  value       = local.state_buckets
}

output "image_repository" {
  description = "Where images are pushed to."
  value       = aws_ecr_repository.images.repository_url
}

output "github_variables" {
  description = "Variables to set in the GitHub repository (docs/deploy.md)."
  value = {
    AWS_REGION      = var.aws_region
    AWS_ROLE_PREFIX = "${local.account_arn}:role/${var.project}"
  }
}
