# What the choices of variables.tf change, and which of them are refused.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  project     = "live-service"
  environment = "staging"
  aws_region  = "eu-central-1"
}

run "without_a_domain_there_is_plain_http_and_nothing_to_certify" {
  command = plan

  assert {
    condition     = length(aws_lb_listener.https) == 0 && length(aws_acm_certificate.main) == 0
    error_message = "A certificate without a domain."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.main) == 0 && length(aws_elasticache_replication_group.main) == 0
    error_message = "Firewall or Valkey without being asked for."
  }

  assert {
    condition     = length(aws_nat_gateway.main) == 1 && length(aws_vpc_endpoint.interface) == 0
    error_message = "One NAT gateway, and no endpoints next to it."
  }
}

run "with_a_domain_http_only_redirects" {
  command = plan

  variables {
    domain_name      = "staging.live.example.com"
    hosted_zone_name = "example.com"
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect"
    error_message = "Port 80 serves instead of redirecting."
  }

  assert {
    condition     = length(aws_lb_listener.https) == 1
    error_message = "No HTTPS."
  }
}

run "production_is_spread_and_protected" {
  command = plan

  variables {
    environment          = "production"
    domain_name          = "live.example.com"
    min_tasks            = 2
    nat_gateways         = 2
    valkey               = true
    requests_per_address = 3000
  }

  assert {
    condition     = aws_db_instance.main.multi_az && aws_db_instance.main.deletion_protection && !aws_db_instance.main.skip_final_snapshot
    error_message = "The database of production is not protected."
  }

  assert {
    condition     = aws_elasticache_replication_group.main[0].multi_az_enabled && aws_lb.main.enable_deletion_protection
    error_message = "Valkey or load balancer of production are not protected."
  }

  assert {
    condition     = length(aws_nat_gateway.main) == 2 && length(aws_wafv2_web_acl_association.main) == 1
    error_message = "NAT gateways or firewall missing."
  }
}

run "without_nat_gateways_aws_is_reached_through_endpoints" {
  command = plan

  variables {
    nat_gateways = 0
  }

  assert {
    condition     = length(aws_route.nat) == 0 && length(aws_vpc_endpoint.interface) == 5
    error_message = "No way to AWS."
  }
}

run "production_without_a_domain_is_refused" {
  command = plan

  variables {
    environment = "production"
    min_tasks   = 2
  }

  expect_failures = [var.domain_name]
}

run "production_shows_no_pages" {
  command = plan

  variables {
    environment  = "production"
    domain_name  = "live.example.com"
    min_tasks    = 2
    public_pages = true
  }

  expect_failures = [var.public_pages]
}

run "keys_cannot_be_fetched_without_a_way_to_the_internet" {
  command = plan

  variables {
    nat_gateways = 0
    jwks_url     = "https://id.example.com/keys"
  }

  expect_failures = [var.nat_gateways]
}

run "fargate_has_no_such_size" {
  command = plan

  variables {
    task_cpu    = 4096
    task_memory = 31744
  }

  expect_failures = [var.task_memory]
}

run "fargate_has_no_such_small_size" {
  command = plan

  variables {
    task_cpu    = 256
    task_memory = 1536
  }

  expect_failures = [var.task_memory]
}

run "the_largest_of_four_processors_fits" {
  command = plan

  variables {
    task_cpu     = 4096
    task_memory  = 30720
    architecture = "ARM64"
  }

  assert {
    condition     = aws_ecs_task_definition.service.runtime_platform[0].cpu_architecture == "ARM64"
    error_message = "Other processors than asked for."
  }
}

run "production_is_not_on_spot" {
  command = plan

  variables {
    environment = "production"
    domain_name = "live.example.com"
    min_tasks   = 2
    spot        = true
  }

  expect_failures = [var.spot]
}

run "staging_may_be_on_spot_with_a_schedule_and_ipv6" {
  command = plan

  variables {
    spot = true
    ipv6 = true
    scheduled_tasks = {
      night = { schedule = "cron(0 20 ? * MON-FRI *)", timezone = "Europe/Berlin", min = 0, max = 1 }
    }
  }

  assert {
    condition     = one(aws_ecs_service.main.capacity_provider_strategy).capacity_provider == "FARGATE_SPOT"
    error_message = "Not on Spot."
  }

  assert {
    condition     = aws_lb.main.ip_address_type == "dualstack" && length(aws_vpc_security_group_ingress_rule.ipv6) == 1
    error_message = "Not reachable over IPv6."
  }

  assert {
    condition     = aws_appautoscaling_scheduled_action.tasks["night"].timezone == "Europe/Berlin"
    error_message = "No schedule."
  }
}

run "a_schedule_cannot_ask_for_more_than_the_database_has_room_for" {
  command = plan

  variables {
    scheduled_tasks = { sale = { schedule = "cron(0 8 ? * FRI *)", min = 2, max = 40 } }
  }

  expect_failures = [var.scheduled_tasks]
}

run "a_page_in_an_app_or_an_extension_may_connect" {
  command = plan

  variables {
    allowed_origins = ["capacitor://localhost", "chrome-extension://abcdefghijklmnop", "https://*.example.com"]
    jwt_scope_claim = "scp"
  }
}

run "an_origin_has_no_path" {
  command = plan

  variables {
    allowed_origins = ["https://example.com/app"]
  }

  expect_failures = [var.allowed_origins]
}

run "a_shell_is_for_whoever_asked_for_it" {
  command = plan

  assert {
    condition     = aws_ecs_service.main.enable_execute_command == false
    error_message = "A shell without being asked for."
  }
}
