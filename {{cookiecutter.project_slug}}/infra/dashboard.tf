# One page to look at first.

locals {
  own = flatten([for name, value in local.metrics.dimensions : [name, value]])

  graphs = [
    {
      title = "Open connections of a process, and of all"
      metrics = [
        concat([local.metrics.namespace, local.metrics.connections], local.own, [{ stat = "Average" }]),
        concat([local.metrics.namespace, local.metrics.connections], local.own, [{ stat = "Sum" }]),
      ]
    },
    {
      title   = "Event loop lag (seconds)"
      metrics = [concat([local.metrics.namespace, local.metrics.lag], local.own, [{ stat = "Maximum" }])]
    },
    {
      title   = "Handshakes refused for want of room"
      metrics = [concat([local.metrics.namespace, local.metrics.refusals], local.own, [{ stat = "Sum" }])]
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
  ]
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
