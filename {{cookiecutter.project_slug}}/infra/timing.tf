# Times and sizes that must fit each other, with the reason why. The same values become the container's environment
# (task.tf), the load balancer's attributes (load_balancer.tf) and the database's parameters (database.tf), so what is
# checked here is what runs. docs/operations.md draws the time line of a stop.

variable "heartbeat_interval" {
  description = "Seconds without a message after which the service asks a client for a sign of life."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.heartbeat_interval >= 1
    error_message = "heartbeat_interval must be 1 or more: without heartbeats the load balancer cuts every quiet connection."
  }
}

variable "heartbeat_timeout" {
  description = "Seconds a client has to answer before it is given up."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.heartbeat_timeout > 0
    error_message = "heartbeat_timeout must be above 0: no client can answer in no time."
  }
}

variable "idle_timeout" {
  description = "Seconds of silence after which the load balancer cuts a connection."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.idle_timeout >= 1 && var.idle_timeout <= 4000 && floor(var.idle_timeout) == var.idle_timeout
    error_message = "idle_timeout must be a whole number from 1 to 4000."
  }

  validation {
    condition     = var.idle_timeout > var.heartbeat_interval + var.heartbeat_timeout
    error_message = "idle_timeout must be above heartbeat_interval + heartbeat_timeout: otherwise the load balancer cuts quiet but healthy connections before the service has asked them."
  }
}

variable "drain_seconds" {
  description = "Seconds over which a stopping task spreads its goodbyes."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.drain_seconds >= 1
    error_message = "drain_seconds must be 1 or more: with 0 all clients of a task reconnect at the same moment."
  }
}

variable "stop_timeout" {
  description = "Seconds from SIGTERM until ECS kills a task."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.stop_timeout >= 2 && var.stop_timeout <= 120 && floor(var.stop_timeout) == var.stop_timeout
    error_message = "stop_timeout must be a whole number from 2 to 120: Fargate waits no longer."
  }

  validation {
    condition     = var.stop_timeout > var.drain_seconds + 5
    error_message = "stop_timeout must be above drain_seconds + 5, the time a stopping process takes: otherwise ECS kills it in the middle of its goodbyes."
  }
}

variable "deregistration_delay" {
  description = "Seconds the load balancer leaves the open connections of a leaving task alone; then it cuts them."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.deregistration_delay >= 0 && var.deregistration_delay <= 3600 && floor(var.deregistration_delay) == var.deregistration_delay
    error_message = "deregistration_delay must be a whole number from 0 to 3600."
  }

  validation {
    condition     = var.deregistration_delay > var.drain_seconds + 20
    error_message = "deregistration_delay must be above drain_seconds + 20: it takes a leaving task up to 15 seconds to notice, and drain_seconds + 5 to say goodbye; after the delay the load balancer cuts whoever is left."
  }
}

variable "min_tasks" {
  description = "How many tasks run at least."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_tasks >= 1 && floor(var.min_tasks) == var.min_tasks
    error_message = "min_tasks must be a whole number of 1 or more."
  }

  validation {
    condition     = var.min_tasks >= 2 || var.environment != "production"
    error_message = "production needs min_tasks of 2 or more: one task is one zone, and nobody serves while it is replaced after a crash."
  }
}

variable "max_tasks" {
  description = "How many tasks run at most."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.max_tasks >= var.min_tasks && floor(var.max_tasks) == var.max_tasks
    error_message = "max_tasks must be a whole number, min_tasks or more."
  }
}

variable "processes" {
  description = "Worker processes of one task (WEB_CONCURRENCY). More tasks are usually better than more processes."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.processes >= 1 && floor(var.processes) == var.processes
    error_message = "processes must be a whole number of 1 or more."
  }

  validation {
    condition     = var.processes <= ceil(var.task_cpu / 1024)
    error_message = "processes must not be above the task's virtual CPUs (task_cpu / 1024, rounded up): they would wait for each other."
  }
}

variable "database_pool_size" {
  description = "Connections to the database of one process, next to the two that it listens and checks on."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.database_pool_size >= 1 && floor(var.database_pool_size) == var.database_pool_size
    error_message = "database_pool_size must be a whole number of 1 or more."
  }
}

variable "database_max_connections" {
  description = "Connections the database accepts (its parameter max_connections)."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.database_max_connections >= 20 && var.database_max_connections <= 5000 && floor(var.database_max_connections) == var.database_max_connections
    error_message = "database_max_connections must be a whole number from 20 to 5000."
  }

  # During a deployment old and new tasks run side by side. 10 are left for RDS, the migration and people.
  validation {
    condition     = (var.database_pool_size + 2) * var.processes * var.max_tasks * 2 + 10 <= var.database_max_connections
    error_message = "database_max_connections must be at least (database_pool_size + 2) x processes x max_tasks x 2 + 10: during a deployment twice max_tasks run, and RDS, the migration and people need some too."
  }
}

variable "max_connections" {
  description = "Clients one process takes; beyond it answers 503."
  type        = number
  default     = 10000
  nullable    = false

  validation {
    condition     = var.max_connections >= 1 && floor(var.max_connections) == var.max_connections
    error_message = "max_connections must be a whole number of 1 or more."
  }

  validation {
    condition     = var.max_connections + 1000 <= var.open_files
    error_message = "open_files must be at least max_connections + 1000: every connection is an open file, and a process without one left cannot even answer 503."
  }
}

variable "open_files" {
  description = "Open files a process may have (ulimit nofile)."
  type        = number
  default     = 65536
  nullable    = false

  validation {
    condition     = var.open_files >= 1024 && var.open_files <= 1048576 && floor(var.open_files) == var.open_files
    error_message = "open_files must be a whole number from 1024 to 1048576."
  }
}

variable "connections_per_task" {
  description = "Open connections of one task that scaling aims at."
  type        = number
  default     = 4000
  nullable    = false

  validation {
    condition     = var.connections_per_task >= 1
    error_message = "connections_per_task must be 1 or more."
  }

  validation {
    condition     = var.connections_per_task <= 0.8 * var.max_connections * var.processes
    error_message = "connections_per_task must be at most 80 % of max_connections x processes: scaling must begin before tasks refuse clients."
  }
}

variable "cpu_percent" {
  description = "CPU use of the tasks, in percent, that scaling aims at."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.cpu_percent >= 10 && var.cpu_percent <= 90
    error_message = "cpu_percent must be from 10 to 90."
  }
}
