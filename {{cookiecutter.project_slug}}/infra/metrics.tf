# What the service reports about itself, in its log lines (CloudWatch's embedded metric format): all names are in
# service/engine/observability/cloudwatch.py, these are the ones that scaling and alarms go by.

locals {
  metrics = {
    namespace   = "WebSocketService"
    connections = "OpenConnections"
    lag         = "EventLoopLag"
    refusals    = "CapacityRefusals"
    blind       = "WatcherBlind" # infra/watcher.py
    dimensions  = { Service = var.project, Environment = var.environment }
  }
}
