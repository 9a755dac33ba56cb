# Where logs go, and for how long.

resource "aws_cloudwatch_log_group" "service" {
  #checkov:skip=CKV_AWS_338:how long logs are kept is a variable, a year by default
  name              = "/${var.project}/${var.environment}/service"
  retention_in_days = var.log_retention_days
  kms_key_id        = aws_kms_key.main.arn
}

resource "aws_cloudwatch_log_group" "network" {
  #checkov:skip=CKV_AWS_338:what was rejected a month ago tells nobody anything
  name              = "/${var.project}/${var.environment}/network"
  retention_in_days = 30
  kms_key_id        = aws_kms_key.main.arn
}

data "aws_iam_policy_document" "flow_log_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

resource "aws_iam_role" "flow_log" {
  name                 = "${local.name}-flow-log"
  description          = "Writes rejected connections to the log"
  assume_role_policy   = data.aws_iam_policy_document.flow_log_trust.json
  permissions_boundary = local.boundary_arn
}

data "aws_iam_policy_document" "flow_log" {
  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = [aws_cloudwatch_log_group.network.arn, "${aws_cloudwatch_log_group.network.arn}:*"]
  }
}

resource "aws_iam_role_policy" "flow_log" {
  name   = "write"
  role   = aws_iam_role.flow_log.id
  policy = data.aws_iam_policy_document.flow_log.json
}
