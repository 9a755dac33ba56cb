# What the service reports about itself, in its log lines (CloudWatch's embedded metric format), under the same names as in
# service/observability/cloudwatch.py.

locals {
  metrics = {
    namespace   = "WebSocketService"
    connections = "OpenConnections"
    lag         = "EventLoopLag"
    refusals    = "CapacityRefusals"
    dimensions  = { Service = var.project, Environment = var.environment }
  }
}
