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

  dns_suffix = data.aws_partition.current.dns_suffix

  state_bucket     = "${local.name}-tfstate-${local.account_id}"
  state_key        = "${var.environment}.tfstate"
  image_account    = var.image_account == "" ? local.account_id : var.image_account
  image_repository = "${local.image_account}.dkr.ecr.${var.aws_region}.${local.dns_suffix}/${var.project}"
  images_arn       = "${local.arn_prefix}:ecr:${var.aws_region}:${local.image_account}:repository/${var.project}"
  boundary_arn     = "${local.account_arn}:policy/${local.name}-boundary"
  deploy_role      = "${local.name}-deploy"
}
