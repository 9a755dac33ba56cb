# What has to be said about an account; terraform.tfvars says it.

variable "project" {
  description = "Name of the project: the prefix of every name, and the name of the image repository."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) >= 3 && length(var.project) <= 20
    error_message = "project must be 3 to 20 lower-case letters, digits and single hyphens, starting with a letter."
  }
}

variable "aws_region" {
  description = "Region of the state bucket and of the image repository: the one the service runs in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+){1,2}-[1-9]$", var.aws_region))
    error_message = "aws_region must be a region such as eu-central-1."
  }
}

variable "github_repository" {
  description = "The repository whose workflows may use this account, as owner/name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name, without wildcards: it decides who may deploy."
  }
}

variable "environments" {
  description = "The environments that live in this account."
  type        = set(string)
  default     = ["staging", "production"]
  nullable    = false

  validation {
    condition     = length(var.environments) > 0 && length(setsubtract(var.environments, ["staging", "production"])) == 0
    error_message = "environments may hold staging and production."
  }
}

variable "create_github_provider" {
  description = "Whether to create GitHub's OIDC provider. An account has one: false where another project made it."
  type        = bool
  default     = true
  nullable    = false
}

variable "kept_images" {
  description = "How many images the repository keeps: how far back a rollback can reach."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.kept_images >= 10 && var.kept_images <= 1000 && floor(var.kept_images) == var.kept_images
    error_message = "kept_images must be a whole number from 10 to 1000."
  }
}
