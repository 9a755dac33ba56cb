# One page to look at first: it tells what docs/grafana-dashboard.json tells, and what only AWS knows.

locals {
  own = flatten([for name, value in local.metrics.dimensions : [name, value]])

  # What the service reports, per minute.
  own_graphs = [
    { title = "Open connections of a process", names = ["OpenConnections"], stat = "Average" },
    { title = "Open connections of all", names = ["OpenConnections"], stat = "Sum" },
    { title = "Handshakes, accepted and refused; refused for want of room", names = ["Handshakes", "Refusals", "CapacityRefusals"], stat = "Sum" },
    { title = "Messages", names = ["MessagesReceived", "MessagesSent"], stat = "Sum" },
    {
      title = "Connections ended, by close code (docs/protocol.md)"
      names = ["Closes", "Closes1000", "Closes1001", "Closes1002", "Closes1003", "Closes1005", "Closes1006", "Closes1007", "Closes1008", "Closes1009", "Closes1011", "Closes1012", "Closes1013", "Closes4403", "Closes4408"]
      stat  = "Sum"
    },
    { title = "Slow consumers and dead links", names = ["SlowConsumers", "HeartbeatTimeouts"], stat = "Sum" },
    { title = "Bytes waiting for slow clients", names = ["OutboxBytes"], stat = "Sum" },
    { title = "Drain: clients told to reconnect", names = ["Drained"], stat = "Sum" },
    { title = "Event loop lag (seconds)", names = ["EventLoopLag"], stat = "Maximum" },
    { title = "Bugs, and messages answered with an error", names = ["Bugs", "BadMessages"], stat = "Sum" },
    { title = "Operations the database could not do, connections to the broker lost", names = ["DatabaseUnavailable", "BrokerReconnects"], stat = "Sum" },
    { title = "Queries for missed events", names = ["HistoryQueries"], stat = "Sum" },
  ]

  aws_graphs = [
    {
      title   = "HTTP latency, 95 % (seconds); handshakes count until they are answered"
      metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "p95" }]]
    },
    {
      title = "Healthy and unhealthy tasks"
      metrics = [for name in ["HealthyHostCount", "UnHealthyHostCount"] :
        ["AWS/ApplicationELB", name, "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service.arn_suffix, { stat = "Maximum" }]
      ]
    },
    {
      title = "Answers 5xx"
      metrics = [
        ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, { stat = "Sum" }],
        ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "LoadBalancer", aws_lb.main.arn_suffix, "TargetGroup", aws_lb_target_group.service.arn_suffix, { stat = "Sum" }],
      ]
    },
    {
      title = "CPU and memory of the tasks (%)"
      metrics = [for name in ["CPUUtilization", "MemoryUtilization"] :
        ["AWS/ECS", name, "ClusterName", aws_ecs_cluster.main.name, "ServiceName", aws_ecs_service.main.name, { stat = "Average" }]
      ]
    },
    {
      title   = "Database: CPU (%)"
      metrics = [["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", aws_db_instance.main.identifier, { stat = "Average" }]]
    },
    {
      title   = "Database: connections, of ${var.database_max_connections}"
      metrics = [["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", aws_db_instance.main.identifier, { stat = "Maximum" }]]
    },
    {
      title = "Database: time of a read and a write (s)"
      metrics = [for name in ["ReadLatency", "WriteLatency"] :
        ["AWS/RDS", name, "DBInstanceIdentifier", aws_db_instance.main.identifier, { stat = "Average" }]
      ]
    },
  ]

  graphs = concat(
    [for graph in local.own_graphs : {
      title   = graph.title
      metrics = [for name in graph.names : concat([local.metrics.namespace, name], local.own, [{ stat = graph.stat }])]
    }],
    local.aws_graphs,
  )
}

resource "aws_cloudwatch_dashboard" "main" {
  dashboard_name = local.name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type       = "alarm", x = 0, y = 0, width = 24, height = 3
        properties = { title = "Alarms", alarms = [for alarm in aws_cloudwatch_metric_alarm.all : alarm.arn] }
      }],
      [for index, graph in local.graphs : {
        type       = "metric", x = (index % 2) * 12, y = 3 + floor(index / 2) * 6, width = 12, height = 6
        properties = { title = graph.title, metrics = graph.metrics, region = var.aws_region, period = 60 }
      }],
    )
  })
}
