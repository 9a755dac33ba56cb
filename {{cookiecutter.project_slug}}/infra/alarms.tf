# When somebody has to look. docs/operations.md has a page for each, under the alarm's name.

resource "aws_sns_topic" "alarms" {
  name              = "${local.name}-alarms"
  kms_master_key_id = aws_kms_key.main.arn
}

data "aws_iam_policy_document" "alarms" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "mail" {
  for_each = var.alarm_emails

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

locals {
  of_load_balancer = { LoadBalancer = aws_lb.main.arn_suffix }
  of_targets       = { LoadBalancer = aws_lb.main.arn_suffix, TargetGroup = aws_lb_target_group.service.arn_suffix }
  of_service       = { ClusterName = local.name, ServiceName = local.name } # which waits for its alarms
  of_database      = { DBInstanceIdentifier = aws_db_instance.main.identifier }

  # Each looks at so many minutes of a metric, one value a minute.
  alarms = merge(
    {
      load-balancer-5xx = {
        says      = "The load balancer answers 5xx: no task took the request, or one broke off"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.of_load_balancer
        statistic = "Sum", above = 10, minutes = 5, missing = "notBreaching"
      }
      service-5xx = {
        says      = "The service answers 5xx: a bug, the database, or no room"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = local.of_targets
        statistic = "Sum", above = 10, minutes = 5, missing = "notBreaching"
      }
      unhealthy-targets = {
        says      = "A task does not answer /healthz"
        namespace = "AWS/ApplicationELB", metric = "UnHealthyHostCount", dimensions = local.of_targets
        statistic = "Maximum", above = 0, minutes = 5, missing = "notBreaching"
      }
      no-running-task = {
        says      = "Fewer healthy tasks than one: nobody is served"
        namespace = "AWS/ApplicationELB", metric = "HealthyHostCount", dimensions = local.of_targets
        statistic = "Maximum", below = 1, minutes = 2, missing = "breaching"
      }
      service-cpu = {
        says      = "Tasks have been busy for long, in spite of scaling"
        namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = local.of_service
        statistic = "Average", above = 85, minutes = 10, missing = "notBreaching"
      }
      service-memory = {
        says      = "Tasks run out of memory"
        namespace = "AWS/ECS", metric = "MemoryUtilization", dimensions = local.of_service
        statistic = "Maximum", above = 85, minutes = 5, missing = "notBreaching"
      }
      capacity-refusals = {
        says      = "Handshakes are refused for want of room"
        namespace = local.metrics.namespace, metric = local.metrics.refusals, dimensions = local.metrics.dimensions
        statistic = "Sum", above = 0, minutes = 3, missing = "notBreaching"
      }
      event-loop-lag = {
        says      = "An event loop runs late: something blocks it"
        namespace = local.metrics.namespace, metric = local.metrics.lag, dimensions = local.metrics.dimensions
        statistic = "Maximum", above = 0.5, minutes = 3, missing = "notBreaching"
      }
      watcher-blind = {
        says      = "A task cannot see whether it is leaving: its clients would be cut off instead of told to reconnect"
        namespace = local.metrics.namespace, metric = local.metrics.blind, dimensions = local.metrics.dimensions
        statistic = "Sum", above = 0, minutes = 2, missing = "notBreaching"
      }
      database-cpu = {
        says      = "The database has been busy for long"
        namespace = "AWS/RDS", metric = "CPUUtilization", dimensions = local.of_database
        statistic = "Average", above = 80, minutes = 15, missing = "breaching"
      }
      database-connections = {
        says      = "The database's connections are running out"
        namespace = "AWS/RDS", metric = "DatabaseConnections", dimensions = local.of_database
        statistic = "Maximum", above = floor(var.database_max_connections * 0.8), minutes = 5, missing = "notBreaching"
      }
      database-storage = {
        says      = "The database's storage is running out, and has not grown by itself"
        namespace = "AWS/RDS", metric = "FreeStorageSpace", dimensions = local.of_database
        statistic = "Minimum", below = var.database_storage.first * 0.1 * 1024 * 1024 * 1024, minutes = 5, missing = "notBreaching"
      }
    },
    var.valkey ? {
      valkey-memory = {
        says       = "Valkey's memory is filling up: a task does not read its events"
        namespace  = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage"
        dimensions = { CacheClusterId = "${local.name}-001" }
        statistic  = "Maximum", above = 80, minutes = 5, missing = "notBreaching"
      }
    } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "all" {
  for_each = local.alarms

  alarm_name        = "${local.name}-${each.key}"
  alarm_description = "${each.value.says}. What to do: docs/operations.md#${each.key}"

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions
  statistic   = each.value.statistic

  comparison_operator = can(each.value.above) ? "GreaterThanThreshold" : "LessThanThreshold"
  threshold           = try(each.value.above, each.value.below)
  period              = 60
  evaluation_periods  = each.value.minutes
  datapoints_to_alarm = each.value.minutes
  treat_missing_data  = each.value.missing

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}
