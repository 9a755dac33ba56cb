# The key of the state and of the images. Roles of this account that have a policy for it may use it.

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
      identifiers = ["arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}

resource "aws_kms_key" "bootstrap" {
  description             = "State and images of ${var.project}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "bootstrap" {
  name          = "alias/${var.project}-bootstrap"
  target_key_id = aws_kms_key.bootstrap.key_id
}
