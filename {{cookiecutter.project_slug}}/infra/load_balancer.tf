# The one public door. What is not named here is answered with 404 before it reaches a task; /metrics is not named.

locals {
  port = 8000

  public_paths = ["/ws/*", "/api/*", "/healthz", "/client*.js"]
  page_paths   = ["/", "/demo-tokens", "/docs", "/openapi.json", "/asyncapi", "/asyncapi.json", "/*.js", "/*.css", "/*.svg"]

  # A rule holds five paths at most.
  routes = chunklist(concat(local.public_paths, var.public_pages ? local.page_paths : []), 5)
}

resource "aws_lb" "main" {
  #checkov:skip=CKV_AWS_91:an access log would hold the query strings of handshakes, and with them tokens (?token=)
  #checkov:skip=CKV_AWS_150:protected in production; staging comes and goes
  #checkov:skip=CKV2_AWS_20:port 80 redirects to HTTPS where there is a domain, and so a certificate
  #checkov:skip=CKV2_AWS_76:see CKV2_AWS_28; with it, known attacks are blocked, Log4j among them
  #checkov:skip=CKV2_AWS_28:the firewall is a choice (requests_per_address)
  name                       = local.name
  load_balancer_type         = "application"
  ip_address_type            = var.ipv6 ? "dualstack" : "ipv4"
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  security_groups            = [aws_security_group.load_balancer.id]
  idle_timeout               = var.idle_timeout
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "defensive"
  enable_deletion_protection = local.production
}

resource "aws_lb_target_group" "service" {
  #checkov:skip=CKV_AWS_378:TLS ends at the load balancer; tasks are reachable from nowhere else
  name                 = local.name
  vpc_id               = aws_vpc.main.id
  target_type          = "ip"
  port                 = local.port
  protocol             = "HTTP"
  deregistration_delay = var.deregistration_delay

  # Sockets live long: what counts is who has the fewest, not whose turn it is.
  load_balancing_algorithm_type = "least_outstanding_requests"

  # Alive, not ready: a database that is down must not make ECS replace every task and cut every connection.
  health_check {
    path                = "/healthz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "http" {
  #checkov:skip=CKV_AWS_2:redirects to HTTPS where there is a domain, and so a certificate
  #checkov:skip=CKV_AWS_103:see CKV_AWS_2
  load_balancer_arn = aws_lb.main.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = local.tls ? "redirect" : "fixed-response"

    dynamic "redirect" {
      for_each = local.tls ? [1] : []

      content {
        port        = "443"
        protocol    = "HTTPS"
        status_code = "HTTP_301"
      }
    }

    dynamic "fixed_response" {
      for_each = local.tls ? [] : [1]

      content {
        content_type = "application/json"
        message_body = local.not_found
        status_code  = "404"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count = local.tls ? 1 : 0

  load_balancer_arn = aws_lb.main.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.main[var.domain_name].certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "application/json"
      message_body = local.not_found
      status_code  = "404"
    }
  }
}

locals {
  # As the service says it.
  not_found = jsonencode({ type = "error", code = "not_found", message = "There is nothing here." })
}

resource "aws_lb_listener_rule" "service" {
  count = length(local.routes)

  listener_arn = local.tls ? aws_lb_listener.https[0].arn : aws_lb_listener.http.arn
  priority     = 10 + count.index

  condition {
    path_pattern {
      values = local.routes[count.index]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}
