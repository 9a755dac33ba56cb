"""What the service tells its operators: logs, requests, and metrics for CloudWatch."""
