# What has to be said about an account; terraform.tfvars says it.

variable "project" {
  description = "Name of the project: the prefix of every name, and the name of the image repository."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) >= 3 && length(var.project) <= 20
    error_message = "project must be 3 to 20 lower-case letters, digits and single hyphens, starting with a letter."
  }

  validation {
    condition     = !can(regex("^(internal-|aws|ssm|sg-|amzn-)", var.project))
    error_message = "project must not start with internal-, aws, ssm, sg- or amzn-: load balancers, parameters, security groups or buckets refuse such names."
  }
}

variable "aws_region" {
  description = "Region of the state bucket and of the image repository: the one the service runs in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,5}(-[a-z]+){1,3}-[1-9]$", var.aws_region))
    error_message = "aws_region must be a region such as eu-central-1."
  }
}

variable "github_repository" {
  description = "The repository whose workflows may use this account, as owner/name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository must be owner/name, without wildcards or ids: it decides who may deploy. The ids have variables of their own."
  }
}

variable "github_owner_id" {
  description = "The number of the repository's owner, which GitHub signs into its tokens. 0: not known."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.github_owner_id >= 0 && floor(var.github_owner_id) == var.github_owner_id
    error_message = "github_owner_id must be a whole number: gh api repos/OWNER/NAME --jq .owner.id"
  }
}

variable "github_repository_id" {
  description = "The number of the repository, which GitHub signs into its tokens. 0: not known."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.github_repository_id >= 0 && floor(var.github_repository_id) == var.github_repository_id
    error_message = "github_repository_id must be a whole number: gh api repos/OWNER/NAME --jq .id"
  }
}

variable "github_subject" {
  description = "How GitHub names the repository in its tokens: immutable (with ids), or name where it still does so."
  type        = string
  default     = "immutable"
  nullable    = false

  validation {
    condition     = contains(["immutable", "name"], var.github_subject)
    error_message = "github_subject must be immutable, or name for a repository from before 15 July 2026 that was never renamed nor transferred."
  }

  validation {
    condition     = var.github_subject == "name" || (var.github_owner_id > 0 && var.github_repository_id > 0)
    error_message = "github_owner_id and github_repository_id are missing, and without them no workflow could assume a role. This prints both for infra/bootstrap/terraform.tfvars: gh api repos/OWNER/NAME --jq '\"github_owner_id = \\(.owner.id)\\ngithub_repository_id = \\(.id)\"'"
  }
}

variable "domain_names" {
  description = "The host name of each environment: the only names its roles may change in Route 53. Empty: none."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setsubtract(keys(var.domain_names), ["staging", "production"])) == 0
    error_message = "domain_names may have entries for staging and production."
  }
}

variable "pulling_accounts" {
  description = "Other accounts that may pull these images by digest: production's, where it has an account of its own."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for account in var.pulling_accounts : can(regex("^[0-9]{12}$", account))])
    error_message = "pulling_accounts must be numbers of AWS accounts, of 12 digits."
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
