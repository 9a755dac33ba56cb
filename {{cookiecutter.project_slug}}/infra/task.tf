# What runs: the image with its settings, and the watcher next to it. Terraform keeps this definition as a pattern; each
# deployment registers a copy of it with its own image, so a change here takes effect with the next deployment.

locals {
  container = "service"

  # The service is a user with the rights it needs; the owner migrates (migration.tf).
  database_user = "tasks"
  database      = "${aws_db_instance.main.endpoint}/${aws_db_instance.main.db_name}?sslmode=verify-full&sslrootcert=/etc/ssl/rds-ca.pem"

  settings = merge(
    {
      ENVIRONMENT        = var.environment
      PORT               = tostring(local.port)
      WEB_CONCURRENCY    = tostring(var.processes)
      DATABASE_URL       = "postgresql://${local.database_user}@${local.database}"
      DATABASE_POOL_SIZE = tostring(var.database_pool_size)
      HEARTBEAT_INTERVAL = tostring(var.heartbeat_interval)
      HEARTBEAT_TIMEOUT  = tostring(var.heartbeat_timeout)
      DRAIN_SECONDS      = tostring(var.drain_seconds)
      MAX_CONNECTIONS    = tostring(var.max_connections)
      JWT_SUBJECT_TYPE   = var.jwt_subject_type
      DEMO_ENDPOINTS     = tostring(var.public_pages)
      LOG_LEVEL          = var.log_level
      LOG_FORMAT         = "json"
      KEEP_ALIVE         = tostring(var.idle_timeout + 5) # the balancer has to be the first to give up a connection
      # Who says for whom a request is: the load balancer, which lives in these subnets alone.
      FORWARDED_ALLOW_IPS = join(",", [for subnet in aws_subnet.public : subnet.cidr_block])
      TMPDIR              = "/dev/shm" # the only place to write: the file system is read-only
    },
    var.valkey ? { VALKEY_URL = "valkeys://${aws_elasticache_replication_group.main[0].primary_endpoint_address}:6379" } : {},
    { for name, value in {
      ALLOWED_ORIGINS = join(",", var.allowed_origins)
      JWKS_URL        = var.jwks_url
      JWT_ISSUER      = var.jwt_issuer
      JWT_AUDIENCE    = var.jwt_audience
      JWT_SCOPE_CLAIM = var.jwt_scope_claim
    } : name => value if value != "" },
  )

  # libpq reads PGPASSWORD when DATABASE_URL holds no password.
  secrets = merge(
    { PGPASSWORD = aws_secretsmanager_secret.database.arn },
    var.jwks_url == "" ? { SECRET_KEY = aws_secretsmanager_secret.secret_key.arn } : {},
  )

  watcher = { cpu = 16, memory = 64 }

  # Without rights, on a file system it cannot change, unless somebody asked for a shell.
  confined = {
    image                  = "${local.image_repository}:none" # a deployment names the image, by digest
    essential              = true
    user                   = "10001:10001"
    readonlyRootFilesystem = !var.ecs_exec # whose agent writes
    linuxParameters        = { capabilities = { drop = ["ALL"] } }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.service.name
        "awslogs-region"        = var.aws_region
        "awslogs-stream-prefix" = "task"
      }
    }
  }
}

resource "aws_ecs_task_definition" "service" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([
    merge(local.confined, {
      name        = local.container
      cpu         = var.task_cpu - local.watcher.cpu
      memory      = var.task_memory - local.watcher.memory
      ulimits     = [{ name = "nofile", softLimit = var.open_files, hardLimit = var.open_files }]
      stopTimeout = var.stop_timeout

      portMappings = [{ containerPort = local.port, hostPort = local.port, protocol = "tcp" }]
      environment  = [for name, value in local.settings : { name = name, value = value }]
      secrets      = [for name, value in local.secrets : { name = name, valueFrom = value }]

      # Fargate does not read the image's HEALTHCHECK.
      healthCheck = {
        command     = ["CMD", "python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', ${local.port}, timeout=3); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
        interval    = 10
        timeout     = 5
        retries     = 3
        startPeriod = 30
      }
    }),
    # It ends when the task is leaving, which stops the service while the load balancer still keeps its connections.
    merge(local.confined, {
      name    = "watcher"
      cpu     = local.watcher.cpu
      memory  = local.watcher.memory
      command = ["python", "-c", file("${path.module}/watcher.py")]
      environment = [for name, value in merge(local.metrics.dimensions, {
        AWS_ENDPOINT_URL = "https://ecs.${var.aws_region}.${local.dns_suffix}"
        METRICS          = local.metrics.namespace
      }) : { name = name, value = value }]
    }),
  ])
}
