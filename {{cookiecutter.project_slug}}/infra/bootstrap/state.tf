# A bucket for the state of each environment, and one for this configuration's own, so that whoever may change one
# environment cannot so much as read another's. Terraform locks a state with an object next to it (use_lockfile).

locals {
  states        = setunion(["bootstrap"], var.environments)
  state_buckets = { for name in local.states : name => "${var.project}-${name}-tfstate-${local.account_id}" }
}

resource "aws_s3_bucket" "state" {
  #checkov:skip=CKV_AWS_18:CloudTrail says who reads and writes state; access logs would need a second bucket with the same question
  #checkov:skip=CKV_AWS_144:versions are the backup; a state is of no use in a region that is down
  #checkov:skip=CKV2_AWS_62:nothing waits for a change of state
  for_each = local.states

  bucket = local.state_buckets[each.key]

  tags = { Environment = each.key }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "state" {
  for_each = local.states

  bucket = aws_s3_bucket.state[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "state" {
  for_each = local.states

  bucket = aws_s3_bucket.state[each.key].id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.state[each.key].arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "state" {
  for_each = local.states

  bucket                  = aws_s3_bucket.state[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "state" {
  for_each = local.states

  bucket = aws_s3_bucket.state[each.key].id

  rule {
    id     = "forget-old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "forget-plans"
    status = "Enabled"

    filter {
      prefix = "plans/"
    }

    expiration {
      days = 7
    }
  }

  depends_on = [aws_s3_bucket_versioning.state]
}

data "aws_iam_policy_document" "state_bucket" {
  for_each = local.state_buckets

  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = ["${local.arn_prefix}:s3:::${each.value}", "${local.arn_prefix}:s3:::${each.value}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "state" {
  for_each = local.states

  bucket = aws_s3_bucket.state[each.key].id
  policy = data.aws_iam_policy_document.state_bucket[each.key].json

  depends_on = [aws_s3_bucket_public_access_block.state]
}
