# What `terraform apply` may do, after the approval that GitHub's environment asks for: manage the services that infra/
# uses, in this region, for its environment alone. Much of what it makes has no name before it exists, so it may manage all
# of a service, and is denied what carries the name or the tags of another environment, of another project, or of
# infra/bootstrap. The wall that nothing leans on is an account for each environment (docs/deploy.md).

locals {
  others = { for name in var.environments : name => setsubtract(["staging", "production"], [name]) }

  # What another environment's things are called, in services that have names.
  names_of_others = { for name, others in local.others : name => flatten([for other in others : [
    "${local.arn_prefix}:cloudwatch:*:*:alarm:${var.project}-${other}-*",
    "${local.arn_prefix}:cloudwatch::*:dashboard/${var.project}-${other}",
    "${local.arn_prefix}:ecs:*:*:*/${var.project}-${other}*",
    "${local.arn_prefix}:elasticache:*:*:*:${var.project}-${other}*",
    "${local.arn_prefix}:elasticloadbalancing:*:*:*/${var.project}-${other}*",
    "${local.arn_prefix}:elasticloadbalancing:*:*:*/app/${var.project}-${other}/*",
    "${local.arn_prefix}:iam::*:policy/${var.project}-${other}-*",
    "${local.arn_prefix}:iam::*:role/${var.project}-${other}-*",
    "${local.arn_prefix}:kms:*:*:alias/${var.project}-${other}*",
    "${local.arn_prefix}:logs:*:*:log-group:/${var.project}/${other}/*",
    "${local.arn_prefix}:logs:*:*:log-group:/aws/*/${var.project}-${other}*",
    "${local.arn_prefix}:rds:*:*:*:${var.project}-${other}*",
    "${local.arn_prefix}:s3:::${var.project}-${other}-*",
    "${local.arn_prefix}:secretsmanager:*:*:secret:${var.project}/${other}/*",
    "${local.arn_prefix}:sns:*:*:${var.project}-${other}-*",
    "${local.arn_prefix}:ssm:*:*:parameter/${var.project}/${other}/*",
    "${local.arn_prefix}:wafv2:*:*:*/webacl/${var.project}-${other}/*",
  ]]) }

  # Where a domain was said to be the environment's, its own records and those that prove it to ACM.
  records = { for name in var.environments : name => compact([
    lookup(var.domain_names, name, ""),
    lookup(var.domain_names, name, "") == "" ? "" : "_*.${lookup(var.domain_names, name, "")}",
  ]) }
}

data "aws_iam_policy_document" "apply" {
  #checkov:skip=CKV_AWS_107:Terraform manages secrets; reading their values is denied below
  #checkov:skip=CKV_AWS_108:see CKV_AWS_107
  #checkov:skip=CKV_AWS_109:the role manages an environment: it has each service's management actions, in one region
  #checkov:skip=CKV_AWS_111:see CKV_AWS_109
  #checkov:skip=CKV_AWS_356:most resources have no name before they exist; the region and the denials bound them
  for_each = var.environments

  statement {
    sid = "ManageServices"
    actions = [
      "acm:*",
      "application-autoscaling:*",
      "cloudwatch:*",
      "ec2:*",
      "ecs:*",
      "elasticache:*",
      "elasticloadbalancing:*",
      "kms:*",
      "logs:*",
      "rds:*",
      "secretsmanager:*",
      "sns:*",
      "ssm:AddTagsToResource",
      "ssm:DeleteParameter",
      "ssm:DescribeParameters",
      "ssm:GetParameter",
      "ssm:GetParameters",
      "ssm:ListTagsForResource",
      "ssm:PutParameter",
      "ssm:RemoveTagsFromResource",
      "wafv2:*",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.aws_region]
    }
  }

  statement {
    sid       = "FindNames"
    actions   = ["route53:GetChange", "route53:GetHostedZone", "route53:List*"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = length(local.records[each.key]) == 0 ? [] : [local.records[each.key]]

    content {
      sid       = "ManageItsNames"
      actions   = ["route53:ChangeResourceRecordSets"]
      resources = ["${local.arn_prefix}:route53:::hostedzone/*"]

      condition {
        test     = "ForAllValues:StringLike"
        variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        values   = statement.value
      }
    }
  }

  statement {
    sid       = "NotWhatOthersAreCalled"
    effect    = "Deny"
    actions   = ["*"]
    resources = local.names_of_others[each.key]
  }

  # A tag that is not there denies nothing: what Terraform is about to make has none yet.
  dynamic "statement" {
    for_each = { Environment = each.key, Project = var.project }

    content {
      sid         = "NotWhatBelongsToAnother${statement.key}"
      effect      = "Deny"
      not_actions = ["route53:*"] # a zone is often shared, and tagged by whoever keeps it
      resources   = ["*"]

      condition {
        test     = "Null"
        variable = "aws:ResourceTag/${statement.key}"
        values   = ["false"]
      }

      condition {
        test     = "StringNotEquals"
        variable = "aws:ResourceTag/${statement.key}"
        values   = [statement.value]
      }
    }
  }

  statement {
    sid    = "NoDataAndNoWayAround"
    effect = "Deny"
    actions = [
      "ec2:*NetworkAcl*", # infra/ has none, and the default one of a network carries no tag
      "ec2:RunInstances",
      "ecs:ExecuteCommand",
      "rds:DownloadDBLogFilePortion",
      "secretsmanager:GetSecretValue",
      "secretsmanager:BatchGetSecretValue",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "CreateBoundedRoles"
    actions   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy", "iam:AttachRolePolicy"]
    resources = ["${local.account_arn}:role/${var.project}-${each.key}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = ["${local.account_arn}:policy/${var.project}-${each.key}-boundary"]
    }
  }

  statement {
    sid = "ManageRoles"
    actions = [
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PassRole",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = ["${local.account_arn}:role/${var.project}-${each.key}-*"]
  }

  statement {
    sid       = "NotWhoMayDeploy"
    effect    = "Deny"
    actions   = ["iam:CreateRole", "iam:DeleteRole", "iam:PassRole", "iam:*PermissionsBoundary", "iam:UpdateAssumeRolePolicy"]
    resources = [for name in ["staging", "production"] : "${local.account_arn}:role/${var.project}-${name}-deploy"]
  }

  statement {
    sid       = "ReadRoles"
    actions   = ["iam:GetPolicy", "iam:GetPolicyVersion", "iam:GetRole", "iam:GetRolePolicy", "iam:List*"]
    resources = ["*"]
  }

  statement {
    sid       = "CreateServiceLinkedRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.account_arn}:role/aws-service-role/*"]
  }

  statement {
    sid       = "ReadAndWriteState"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for key in ["${each.key}.tfstate", "${each.key}.tfstate.tflock"] : "${local.arn_prefix}:s3:::${local.state_buckets[each.key]}/${key}"]
  }

  statement {
    sid       = "ReadPlans"
    actions   = ["s3:GetObject"]
    resources = ["${local.arn_prefix}:s3:::${local.state_buckets[each.key]}/plans/*"]
  }

  statement {
    sid       = "UnlockState"
    actions   = ["s3:DeleteObject"]
    resources = ["${local.arn_prefix}:s3:::${local.state_buckets[each.key]}/${each.key}.tfstate.tflock"]
  }

  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = ["${local.arn_prefix}:s3:::${local.state_buckets[each.key]}"]
  }
}

resource "aws_iam_role_policy" "apply" {
  for_each = var.environments

  name   = "manage-${each.key}"
  role   = aws_iam_role.github["apply-${each.key}"].id
  policy = data.aws_iam_policy_document.apply[each.key].json
}
