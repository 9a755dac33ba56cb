# What runs this configuration, and in which account and region it works.

terraform {
  required_version = ">= 1.11.0, < 2.0.0" # 1.11: the state's lock in S3 itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project     = var.project
      Environment = "bootstrap"
      ManagedBy   = "terraform"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  arn_prefix  = "arn:${data.aws_partition.current.partition}"
  account_id  = data.aws_caller_identity.current.account_id
  account_arn = "${local.arn_prefix}:iam::${local.account_id}"
  region_arn  = "${var.aws_region}:${local.account_id}"
}
