# What runs this configuration, and in which account and region it works.

terraform {
  required_version = ">= 1.11.0, < 2.0.0" # 1.11: the state's lock in S3 itself

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      Project   = var.project
      ManagedBy = "terraform"
      Part      = "bootstrap"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
