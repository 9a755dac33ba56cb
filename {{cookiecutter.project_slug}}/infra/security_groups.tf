# Who can reach whom: the internet the load balancer, the load balancer the tasks, the tasks the database and Valkey.

resource "aws_security_group" "load_balancer" {
  name        = "${local.name}-load-balancer"
  description = "From the internet, to the tasks"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-load-balancer" }
}

resource "aws_security_group" "tasks" {
  name        = "${local.name}-tasks"
  description = "From the load balancer, to the database, Valkey and AWS"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-tasks" }
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:attached to the database
  name        = "${local.name}-database"
  description = "From the tasks"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-database" }
}

resource "aws_security_group" "valkey" {
  #checkov:skip=CKV2_AWS_5:attached to Valkey, where there is one
  name        = "${local.name}-valkey"
  description = "From the tasks"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-valkey" }
}

resource "aws_security_group" "endpoints" {
  #checkov:skip=CKV2_AWS_5:attached to the endpoints, where there are any
  name        = "${local.name}-endpoints"
  description = "From the tasks"
  vpc_id      = aws_vpc.main.id

  tags = { Name = "${local.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  #checkov:skip=CKV_AWS_260:port 80 redirects to HTTPS; without a domain it is the only way in
  security_group_id = aws_security_group.load_balancer.id
  description       = "Clients: redirected to HTTPS when there is a domain"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  count = local.tls ? 1 : 0

  security_group_id = aws_security_group.load_balancer.id
  description       = "Clients"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "ipv6" {
  for_each = var.ipv6 ? toset(local.tls ? ["80", "443"] : ["80"]) : []

  security_group_id = aws_security_group.load_balancer.id
  description       = "Clients over IPv6"
  cidr_ipv6         = "::/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
}

locals {
  # Both ends of every connection inside the network.
  connections = {
    load-balancer-to-tasks = { from = aws_security_group.load_balancer.id, to = aws_security_group.tasks.id, port = local.port }
    tasks-to-database      = { from = aws_security_group.tasks.id, to = aws_security_group.database.id, port = 5432 }
    tasks-to-valkey        = { from = aws_security_group.tasks.id, to = aws_security_group.valkey.id, port = 6379 }
    tasks-to-endpoints     = { from = aws_security_group.tasks.id, to = aws_security_group.endpoints.id, port = 443 }
  }
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each = local.connections

  security_group_id            = each.value.from
  referenced_security_group_id = each.value.to
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "inside" {
  for_each = local.connections

  security_group_id            = each.value.to
  referenced_security_group_id = each.value.from
  description                  = each.key
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_egress_rule" "tasks_to_aws" {
  security_group_id = aws_security_group.tasks.id
  description       = "Images, logs, secrets, and the identity provider's keys"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}
