# Who may act for this repository's workflows: no keys, only short-lived credentials for tokens that GitHub signs.
#
# A token's subject names the repository with its numbers, so that another repository that comes to have the name gets in
# nowhere (GitHub's default since 15 July 2026). STS looks at more claims than the subject: the repository's number, the
# branch, the workflow's file. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html

locals {
  github_issuer       = "token.actions.githubusercontent.com"
  github_provider_arn = "${local.account_arn}:oidc-provider/${local.github_issuer}"

  owner      = split("/", var.github_repository)[0]
  repository = split("/", var.github_repository)[1]
  # Exactly one form, never a wildcard.
  subject = (
    var.github_subject == "name" ? "repo:${var.github_repository}" :
    "repo:${local.owner}@${var.github_owner_id}/${local.repository}@${var.github_repository_id}"
  )

  # Each role with the rest of the subject that it trusts, and the workflows that may ask, as they are on main.
  roles = merge(
    {
      publish = { name = "publish", subject = "ref:refs/heads/main", workflows = ["deploy"] }
      plan    = { name = "plan", subject = "pull_request", workflows = [] } # whose files are the pull request's
    },
    { for name in var.environments : "plan-${name}" => {
      name = "plan-${name}", subject = "ref:refs/heads/main", workflows = ["terraform"]
    } },
    { for name in var.environments : "apply-${name}" => {
      name = "apply-${name}", subject = "environment:${name}-infrastructure", workflows = ["terraform"]
    } },
    { for name in var.environments : "deploy-${name}" => {
      name = "${name}-deploy", subject = "environment:${name}", workflows = ["deploy", "promote"]
    } },
  )

  # STS knows these claims in the partition aws alone; elsewhere the subject has to do.
  claims = { for key, role in local.roles : key => data.aws_partition.current.partition != "aws" ? {} : merge(
    var.github_repository_id == 0 ? {} : { repository_id = [tostring(var.github_repository_id)] },
    length(role.workflows) == 0 ? {} : {
      ref              = ["refs/heads/main"]
      job_workflow_ref = [for file in role.workflows : "${var.github_repository}/.github/workflows/${file}.yml@refs/heads/main"]
    },
    startswith(role.subject, "environment:") ? { environment = [trimprefix(role.subject, "environment:")] } : {},
  ) }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.create_github_provider ? 1 : 0

  url            = "https://${local.github_issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358:the subjects are exact, and github_repository takes no wildcard; checkov does not follow each.value
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.github_provider_arn]
    }

    dynamic "condition" {
      for_each = merge(
        { aud = ["sts.amazonaws.com"], sub = ["${local.subject}:${each.value.subject}"] },
        local.claims[each.key],
      )

      content {
        test     = "StringEquals"
        variable = "${local.github_issuer}:${condition.key}"
        values   = condition.value
      }
    }
  }
}

# A deployment's rights come from infra/deploy_role.tf; who may deploy is said here, where no environment can change it.
resource "aws_iam_role" "github" {
  for_each = local.roles

  name                 = "${var.project}-${each.value.name}"
  description          = "GitHub workflows of ${var.github_repository}: ${each.value.name}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = startswith(each.key, "deploy-") ? aws_iam_policy.boundary[trimprefix(each.key, "deploy-")].arn : null
  max_session_duration = 7200 # a database's change, or a slow rollout, takes longer than an hour

  # Its environment gives a deployment its rights; the tag says which one may.
  tags = startswith(each.key, "deploy-") ? { Environment = trimprefix(each.key, "deploy-") } : {}

  depends_on = [aws_iam_openid_connect_provider.github]
}
