# The name that clients connect to, and its certificate. The zone exists before.

locals {
  tls    = var.domain_name != ""
  domain = toset(local.tls ? [var.domain_name] : [])
  host   = local.tls ? var.domain_name : aws_lb.main.dns_name
}

data "aws_route53_zone" "main" {
  for_each = local.domain

  name = coalesce(var.hosted_zone_name, var.domain_name)
}

resource "aws_acm_certificate" "main" {
  for_each = local.domain

  domain_name       = each.key
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# A certificate for one name has one record to prove it.
resource "aws_route53_record" "validation" {
  for_each = local.domain

  zone_id         = data.aws_route53_zone.main[each.key].zone_id
  name            = one(aws_acm_certificate.main[each.key].domain_validation_options).resource_record_name
  type            = one(aws_acm_certificate.main[each.key].domain_validation_options).resource_record_type
  records         = [one(aws_acm_certificate.main[each.key].domain_validation_options).resource_record_value]
  ttl             = 300
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "main" {
  for_each = local.domain

  certificate_arn         = aws_acm_certificate.main[each.key].arn
  validation_record_fqdns = [aws_route53_record.validation[each.key].fqdn]
}

resource "aws_route53_record" "main" {
  for_each = local.domain

  zone_id = data.aws_route53_zone.main[each.key].zone_id
  name    = each.key
  type    = "A"

  alias {
    name                   = aws_lb.main.dns_name
    zone_id                = aws_lb.main.zone_id
    evaluate_target_health = true
  }
}

resource "aws_route53_record" "ipv6" {
  for_each = var.ipv6 ? local.domain : []

  zone_id = data.aws_route53_zone.main[each.key].zone_id
  name    = each.key
  type    = "AAAA"

  alias {
    name                   = aws_lb.main.dns_name
    zone_id                = aws_lb.main.zone_id
    evaluate_target_health = true
  }
}
