# What things are called, and where the things that infra/bootstrap made are.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  name       = "${var.project}-${var.environment}"
  production = var.environment == "production"

  account_id  = data.aws_caller_identity.current.account_id
  arn_prefix  = "arn:${data.aws_partition.current.partition}"
  account_arn = "${local.arn_prefix}:iam::${local.account_id}"
  region_arn  = "${var.aws_region}:${local.account_id}"

  state_bucket     = "${var.project}-terraform-state-${local.account_id}"
  state_key        = "${var.environment}.tfstate"
  image_repository = "${local.account_id}.dkr.ecr.${var.aws_region}.amazonaws.com/${var.project}"
  images_arn       = "${local.arn_prefix}:ecr:${local.region_arn}:repository/${var.project}"
  boundary_arn     = "${local.account_arn}:policy/${var.project}-boundary"
  github_issuer    = "token.actions.githubusercontent.com"
}
