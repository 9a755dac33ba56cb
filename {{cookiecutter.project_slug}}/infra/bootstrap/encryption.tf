# A key for each state, and one for the images. Roles of this account that have a policy for a key may use it; those of an
# environment have one for keys that carry the environment's tag.

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109:a key's policy speaks of the key it is attached to, and AWS asks that the account can manage it
  #checkov:skip=CKV_AWS_111:see CKV_AWS_109
  #checkov:skip=CKV_AWS_356:see CKV_AWS_109
  statement {
    sid       = "ManagedByTheAccount"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.account_arn}:root"]
    }
  }
}

resource "aws_kms_key" "images" {
  description             = "Images of ${var.project}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_key" "state" {
  for_each = local.states

  description             = "State of ${var.project}: ${each.key}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json

  tags = { Environment = each.key }
}

resource "aws_kms_alias" "state" {
  for_each = local.states

  name          = "alias/${var.project}-${each.key}-state"
  target_key_id = aws_kms_key.state[each.key].key_id
}
