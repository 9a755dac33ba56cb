# Wrong combinations of timing.tf fail at plan, and at the variable that says why.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  project     = "live-service"
  environment = "staging"
  aws_region  = "eu-central-1"
}

run "the_defaults_fit" {
  command = plan
}

run "the_load_balancer_must_outlast_the_heartbeat" {
  command = plan

  variables {
    heartbeat_interval = 50
    heartbeat_timeout  = 10
    idle_timeout       = 60
  }

  expect_failures = [var.idle_timeout]
}

run "a_stop_must_outlast_the_drain" {
  command = plan

  variables {
    drain_seconds        = 60
    stop_timeout         = 65
    deregistration_delay = 90
  }

  expect_failures = [var.stop_timeout]
}

run "fargate_waits_two_minutes_at_most" {
  command = plan

  variables {
    stop_timeout = 121
  }

  expect_failures = [var.stop_timeout]
}

run "the_load_balancer_must_not_cut_the_drain" {
  command = plan

  variables {
    deregistration_delay = 40 # drain_seconds + 20
  }

  expect_failures = [var.deregistration_delay]
}

run "the_database_must_have_room_for_a_deployment" {
  command = plan

  variables {
    max_tasks                = 7 # (5 + 2) x 1 x 7 x 2 + 10 = 108
    database_max_connections = 107
  }

  expect_failures = [var.database_max_connections]
}

run "every_connection_needs_an_open_file" {
  command = plan

  variables {
    max_connections = 10000
    open_files      = 10999
  }

  expect_failures = [var.max_connections]
}

run "scaling_begins_before_clients_are_refused" {
  command = plan

  variables {
    max_connections      = 1000
    connections_per_task = 801
  }

  expect_failures = [var.connections_per_task]
}
