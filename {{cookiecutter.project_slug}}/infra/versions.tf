# What runs this configuration, where its state is, and in which region it works.

terraform {
  required_version = ">= 1.11.0, < 2.0.0" # 1.11: the state's lock in S3 itself

  # Bucket and key depend on account and environment: `make plan ENV=staging` gives them.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }

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
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}
