# What a plan may do: read how things are, to show what would change. Never what they hold: the code of a pull request runs
# with these rights. Descriptions alone, by name: ReadOnlyAccess would give parameters, items of tables and code of functions.

locals {
  planners = { for name in concat(["plan"], [for name in var.environments : "plan-${name}"]) : name => {
    environments = name == "plan" ? var.environments : [trimprefix(name, "plan-")]
  } }

  descriptions = [
    "acm:DescribeCertificate",
    "acm:ListTagsForCertificate",
    "application-autoscaling:Describe*",
    "application-autoscaling:ListTagsForResource",
    "cloudwatch:DescribeAlarms",
    "cloudwatch:GetDashboard",
    "cloudwatch:ListTagsForResource",
    "ec2:DescribeAddresses",
    "ec2:DescribeAddressesAttribute",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeFlowLogs",
    "ec2:DescribeInternetGateways",
    "ec2:DescribeEgressOnlyInternetGateways",
    "ec2:DescribeManagedPrefixLists",
    "ec2:DescribeNatGateways",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribePrefixLists",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroupRules",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeTags",
    "ec2:DescribeVpcAttribute",
    "ec2:DescribeVpcEndpoints",
    "ec2:DescribeVpcs",
    "ecs:DescribeClusters",
    "ecs:DescribeServices",
    "ecs:DescribeTaskDefinition",
    "ecs:ListTagsForResource",
    "elasticache:Describe*",
    "elasticache:ListTagsForResource",
    "elasticloadbalancing:Describe*",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:ListAttachedRolePolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:ListRolePolicies",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListResourceTags",
    "logs:DescribeLogGroups",
    "logs:ListTagsForResource",
    "rds:Describe*",
    "rds:ListTagsForResource",
    "route53:GetHostedZone",
    "route53:ListHostedZones",
    "route53:ListHostedZonesByName",
    "route53:ListResourceRecordSets",
    "route53:ListTagsForResource",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetResourcePolicy",
    "sns:GetSubscriptionAttributes",
    "sns:GetTopicAttributes",
    "sns:ListTagsForResource",
    "ssm:DescribeParameters",
    "ssm:ListTagsForResource",
    "wafv2:GetWebACL",
    "wafv2:GetWebACLForResource",
    "wafv2:ListTagsForResource",
  ]
}

data "aws_iam_policy_document" "plan" {
  #checkov:skip=CKV_AWS_356:descriptions, which most services give for all resources or for none
  for_each = local.planners

  statement {
    sid       = "Describe"
    actions   = local.descriptions
    resources = ["*"]
  }

  statement {
    sid       = "KnowTheDeployment"
    actions   = ["ssm:GetParameter", "ssm:GetParameters"]
    resources = [for name in each.value.environments : "${local.arn_prefix}:ssm:${local.region_arn}:parameter/${var.project}/${name}/deployment"]
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [for name in each.value.environments : "${local.arn_prefix}:s3:::${local.state_buckets[name]}/${name}.tfstate"]
  }

  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [for name in each.value.environments : "${local.arn_prefix}:s3:::${local.state_buckets[name]}"]
  }

  statement {
    sid       = "DecryptState"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = ["${local.arn_prefix}:kms:${local.region_arn}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.aws_region}.${data.aws_partition.current.dns_suffix}"]
    }

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = [for name in each.value.environments : "alias/${var.project}-${name}-state"]
    }
  }

  # Plans of main are kept for those who approve them, and applied as they are.
  dynamic "statement" {
    for_each = each.key == "plan" ? [] : each.value.environments

    content {
      sid       = "KeepPlans"
      actions   = ["s3:PutObject"]
      resources = ["${local.arn_prefix}:s3:::${local.state_buckets[statement.value]}/plans/*"]
    }
  }
}

resource "aws_iam_role_policy" "plan" {
  for_each = local.planners

  name   = "describe"
  role   = aws_iam_role.github[each.key].id
  policy = data.aws_iam_policy_document.plan[each.key].json
}
