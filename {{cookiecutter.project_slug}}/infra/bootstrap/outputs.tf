# What the deployment guide copies into the repository's settings.

output "state_bucket" {
  description = "The bucket of the environments' state; python -m infra.deploy finds it by its name."
  value       = aws_s3_bucket.state.bucket
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
