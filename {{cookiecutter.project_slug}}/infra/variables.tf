# What has to be decided, apart from times and sizes that depend on each other: those are in timing.tf.

variable "project" {
  description = "Name of the project: the prefix of every name. The service calls itself so in its metrics."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) >= 3 && length(var.project) <= 20
    error_message = "project must be 3 to 20 lower-case letters, digits and single hyphens, starting with a letter."
  }
}

variable "environment" {
  description = "Which environment this is. Production is spread over zones, protected against deletion and needs a domain."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "aws_region" {
  description = "Region that everything lives in: the one of infra/bootstrap."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2,5}(-[a-z]+){1,3}-[1-9]$", var.aws_region))
    error_message = "aws_region must be a region such as eu-central-1."
  }
}

variable "image_account" {
  description = "The account whose registry the images are in, where it is another: staging's, for production. Empty: this one."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.image_account == "" || can(regex("^[0-9]{12}$", var.image_account))
    error_message = "image_account must be empty or the number of an AWS account, of 12 digits."
  }
}

# Name and certificate

variable "domain_name" {
  description = "Host name that clients connect to. Empty: plain HTTP on the load balancer's own name, for trying out."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.domain_name == "" || can(regex("^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z0-9-]{2,63}$", var.domain_name))
    error_message = "domain_name must be empty or a lower-case host name such as live.example.com."
  }

  validation {
    condition     = var.domain_name != "" || var.environment != "production"
    error_message = "production needs a domain_name: without a certificate, tokens would cross the internet readable by anybody on the way."
  }
}

variable "hosted_zone_name" {
  description = "Route 53 zone that domain_name is in. It exists already. Empty: the zone has the domain's own name."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition = var.hosted_zone_name == "" || var.domain_name == var.hosted_zone_name || endswith(
      var.domain_name, ".${var.hosted_zone_name}"
    )
    error_message = "hosted_zone_name must be domain_name or a parent of it: records for one zone cannot live in another."
  }
}

# Network

variable "vpc_cidr" {
  description = "Addresses of the network: a /16 to /20, split into two subnets a zone."
  type        = string
  default     = "10.20.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 range from /16 to /20, such as 10.20.0.0/16."
  }
}

variable "availability_zones" {
  description = "Over how many zones to spread."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = contains([2, 3], var.availability_zones)
    error_message = "availability_zones must be 2 or 3: load balancer and database need two."
  }
}

variable "nat_gateways" {
  description = "Through how many NAT gateways tasks reach the internet: one, or one a zone. 0: none, AWS through VPC endpoints."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = contains([0, 1, var.availability_zones], var.nat_gateways)
    error_message = "nat_gateways must be 0 (VPC endpoints instead), 1, or one for each of the availability_zones."
  }

  validation {
    condition     = var.nat_gateways > 0 || var.jwks_url == ""
    error_message = "With nat_gateways = 0 tasks cannot fetch jwks_url: the identity provider is on the internet. Set nat_gateways to 1 or more."
  }
}

variable "public_pages" {
  description = "Whether the demo page and the API's documents are served and reachable."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.public_pages || var.environment != "production"
    error_message = "public_pages is for staging: the page comes with /ws/echo and /ws/json, which anybody may use without a token."
  }
}

variable "requests_per_address" {
  description = "How many requests one address may make in five minutes before the firewall blocks it. 0: no firewall."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.requests_per_address == 0 || (var.requests_per_address >= 10 && var.requests_per_address <= 2000000000)
    error_message = "requests_per_address must be 0 (no firewall) or from 10 to 2000000000. A handshake is one request; mind offices behind one address."
  }
}

# Service

variable "allowed_origins" {
  description = "Browser origins that may connect, such as https://example.com or https://*.example.com. Empty: the same host only."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.allowed_origins : can(regex("^https?://(\\*\\.)?[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "allowed_origins must be origins such as https://example.com or https://*.example.com, without a path."
  }
}

variable "jwks_url" {
  description = "Where the identity provider publishes its keys. Empty: tokens are signed with the secret SECRET_KEY."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.jwks_url == "" || startswith(var.jwks_url, "https://")
    error_message = "jwks_url must be an https address: whoever can change the keys can be any user."
  }
}

variable "jwt_issuer" {
  description = "The iss claim that the identity provider's tokens must carry. Empty: any."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.jwt_issuer == "" || var.jwks_url != ""
    error_message = "jwt_issuer describes an identity provider: set jwks_url too."
  }
}

variable "jwt_audience" {
  description = "The aud claim that the identity provider's tokens must carry. Empty: any."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.jwt_audience == "" || var.jwks_url != ""
    error_message = "jwt_audience describes an identity provider: set jwks_url too."
  }
}

variable "jwt_subject_type" {
  description = "What a user id is: integer, or string for 1 to 255 characters."
  type        = string
  default     = "integer"
  nullable    = false

  validation {
    condition     = contains(["integer", "string"], var.jwt_subject_type)
    error_message = "jwt_subject_type must be integer or string."
  }
}

variable "log_level" {
  description = "How much the service logs."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be DEBUG or INFO: the lines that carry the metrics for scaling and alarms are INFO."
  }
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 731, 1827, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's periods: 7, 14, 30, 60, 90, 180, 365, 731, 1827 or 3653."
  }
}

variable "task_cpu" {
  description = "CPU units of one task; 1024 are one virtual CPU. A process uses one at most."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.task_cpu)
    error_message = "task_cpu must be 256, 512, 1024, 2048 or 4096."
  }
}

variable "task_memory" {
  description = "Memory of one task in MiB."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.task_memory % 512 == 0 && var.task_memory >= var.task_cpu * 2 && var.task_memory <= var.task_cpu * 8
    error_message = "task_memory must be a multiple of 512 from 2 to 8 times task_cpu: Fargate offers no other pairs."
  }
}

# Database and Valkey

variable "database_version" {
  description = "Major version of PostgreSQL."
  type        = string
  default     = "17"
  nullable    = false

  validation {
    condition     = contains(["16", "17", "18"], var.database_version)
    error_message = "database_version must be 16, 17 or 18."
  }
}

variable "database_instance_class" {
  description = "Size of the database server. Its memory must hold database_max_connections, at about 10 MiB each."
  type        = string
  default     = "db.t4g.small"
  nullable    = false

  validation {
    condition     = can(regex("^db\\.[a-z0-9]+\\.[a-z0-9]+$", var.database_instance_class))
    error_message = "database_instance_class must be a class such as db.t4g.small."
  }
}

variable "database_storage" {
  description = "Storage of the database in GiB, and up to where it grows by itself."
  type        = object({ first = number, most = number })
  default     = { first = 20, most = 200 }
  nullable    = false

  validation {
    condition     = var.database_storage.first >= 20 && var.database_storage.most >= ceil(var.database_storage.first * 1.26)
    error_message = "database_storage.first must be 20 GiB or more, and most at least 26 % above it: RDS grows in such steps."
  }
}

variable "database_backup_days" {
  description = "For how many days the database can be put back to any second."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.database_backup_days >= 1 && var.database_backup_days <= 35
    error_message = "database_backup_days must be from 1 to 35: without backups there is no restore."
  }
}

variable "database_password_days" {
  description = "After how many days RDS changes the password by itself, if `make rotate-database` has not done it before."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.database_password_days >= 1 && var.database_password_days <= 1000
    error_message = "database_password_days must be from 1 to 1000."
  }
}

variable "valkey" {
  description = "Whether events between tasks go through Valkey instead of PostgreSQL's NOTIFY."
  type        = bool
  default     = false
  nullable    = false
}

variable "valkey_node_type" {
  description = "Size of the Valkey servers."
  type        = string
  default     = "cache.t4g.micro"
  nullable    = false

  validation {
    condition     = can(regex("^cache\\.[a-z0-9]+\\.[a-z0-9]+$", var.valkey_node_type))
    error_message = "valkey_node_type must be a type such as cache.t4g.micro."
  }
}

# Alarms

variable "alarm_emails" {
  description = "Who gets a mail when an alarm goes off. Each address has to confirm once."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+[.][^@ ]+$", address))])
    error_message = "alarm_emails must be mail addresses."
  }
}
