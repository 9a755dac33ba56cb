# What has to be decided, apart from times and sizes that depend on each other: those are in timing.tf.

variable "project" {
  description = "Name of the project: the prefix of every name. The service calls itself so in its metrics."
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
    condition     = alltrue([for origin in var.allowed_origins : can(regex("^[a-z][a-z0-9+.-]*://(\\*\\.)?[a-z0-9.-]+(:[0-9]+)?$", origin))])
    error_message = "allowed_origins must be origins such as https://example.com, https://*.example.com, capacitor://localhost or chrome-extension://<id>, without a path."
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

variable "jwt_scope_claim" {
  description = "The claim that says what a token allows, where the identity provider does not call it scope. Empty: scope."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.jwt_scope_claim == "" || can(regex("^[^\\s,]+$", var.jwt_scope_claim))
    error_message = "jwt_scope_claim must be one claim's name, such as scp, permissions or realm_access.roles."
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
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.task_cpu)
    error_message = "task_cpu must be 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "task_memory" {
  description = "Memory of one task in MiB."
  type        = number
  default     = 1024
  nullable    = false

  # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
  validation {
    condition = contains(try({
      "256"   = [512, 1024, 2048]
      "512"   = range(1024, 4096 + 1, 1024)
      "1024"  = range(2048, 8192 + 1, 1024)
      "2048"  = range(4096, 16384 + 1, 1024)
      "4096"  = range(8192, 30720 + 1, 1024)
      "8192"  = range(16384, 61440 + 1, 4096)
      "16384" = range(32768, 122880 + 1, 8192)
    }[tostring(var.task_cpu)], []), var.task_memory)
    error_message = "task_memory does not fit task_cpu. Fargate offers, in MiB: 512, 1024 or 2048 with 256; 1024 to 4096 with 512; 2048 to 8192 with 1024; 4096 to 16384 with 2048; 8192 to 30720 with 4096 (each in steps of 1024); 16384 to 61440 in steps of 4096 with 8192; 32768 to 122880 in steps of 8192 with 16384."
  }
}

variable "architecture" {
  description = "Processors of the tasks: X86_64, or ARM64, which costs a fifth less. The image has to be built for it."
  type        = string
  default     = "X86_64"
  nullable    = false

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture must be X86_64 or ARM64."
  }
}

variable "spot" {
  description = "Whether tasks run on Fargate Spot: a third of the price, and taken away with two minutes' notice."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.spot || var.environment != "production"
    error_message = "spot is for staging: AWS may take all tasks at once, and have none to put in their place."
  }
}

variable "scheduled_tasks" {
  description = "Other least and greatest numbers of tasks from a moment on: cron(30 7 ? * MON-FRI *) with min and max."
  type        = map(object({ schedule = string, timezone = optional(string, "UTC"), min = number, max = number }))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for each in var.scheduled_tasks : can(regex("^(cron|at)\\(.+\\)$", each.schedule)) && each.min >= 0 && each.max >= each.min && each.max <= var.max_tasks])
    error_message = "scheduled_tasks need a schedule such as cron(30 7 ? * MON-FRI *), and min and max with 0 <= min <= max <= max_tasks: the database's connections are counted for max_tasks."
  }
}

variable "roll_back_on_alarm" {
  description = "Whether ECS goes back by itself when the alarm service-5xx goes off during a deployment."
  type        = bool
  default     = true
  nullable    = false
}

variable "ipv6" {
  description = "Whether clients may come over IPv6, too. Tasks stay on IPv4."
  type        = bool
  default     = false
  nullable    = false
}

variable "ecs_exec" {
  description = "Whether people with the right to it may open a shell in a task, whose file system can then be written to."
  type        = bool
  default     = false
  nullable    = false
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

variable "database_major_upgrade" {
  description = "Whether another major version may be put in the place of the present one: true for that one change."
  type        = bool
  default     = false
  nullable    = false
}

variable "database_password_days" {
  description = "After how many days RDS changes the password of the database's owner by itself."
  type        = number
  default     = 7
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
