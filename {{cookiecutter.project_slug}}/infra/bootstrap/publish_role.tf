# What the main branch may do: push images, and nothing else.

data "aws_iam_policy_document" "publish" {
  statement {
    sid       = "LogIn"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"] # the action knows no other
  }

  statement {
    sid = "PushImages"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:DescribeImages",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = ["${local.arn_prefix}:ecr:${local.region_arn}:repository/${var.project}"]
  }
}

resource "aws_iam_role_policy" "publish" {
  name   = "push-images"
  role   = aws_iam_role.github["publish"].id
  policy = data.aws_iam_policy_document.publish.json
}
