# Who may act for this repository's workflows: no keys, only short-lived credentials for tokens that GitHub signs.

locals {
  github_issuer = "token.actions.githubusercontent.com"
  github_provider_arn = (
    "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/${local.github_issuer}"
  )

  # The sub claim of the token that each role asks for.
  subjects = merge(
    {
      publish = "repo:${var.github_repository}:ref:refs/heads/main"
      plan    = "repo:${var.github_repository}:pull_request"
    },
    { for name in var.environments : "apply-${name}" => "repo:${var.github_repository}:environment:${name}-infrastructure" },
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_github_provider ? 1 : 0

  url            = "https://${local.github_issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358:the subjects are exact, and github_repository takes no wildcard; checkov does not follow each.value
  for_each = local.subjects

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.github_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github_issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.github_issuer}:sub"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "github" {
  for_each = local.subjects

  name                 = "${var.project}-${each.key}"
  description          = "GitHub workflows of ${var.github_repository}: ${each.key}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = 3600

  depends_on = [aws_iam_openid_connect_provider.github]
}
