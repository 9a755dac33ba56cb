# The images. A tag never moves, so what a digest or a tag meant yesterday it means today.

resource "aws_ecr_repository" "images" {
  name                 = var.project
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.images.arn
  }
}

resource "aws_ecr_lifecycle_policy" "images" {
  repository = aws_ecr_repository.images.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the newest ${var.kept_images}"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.kept_images }
      action       = { type = "expire" }
    }]
  })
}

# Production in an account of its own pulls the very image that staging ran: by its digest, across.
data "aws_iam_policy_document" "pulling" {
  count = length(var.pulling_accounts) > 0 ? 1 : 0

  statement {
    sid     = "PullFromAnotherAccount"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "AWS"
      identifiers = [for account in sort(var.pulling_accounts) : "${local.arn_prefix}:iam::${account}:root"]
    }
  }
}

resource "aws_ecr_repository_policy" "pulling" {
  count = length(var.pulling_accounts) > 0 ? 1 : 0

  repository = aws_ecr_repository.images.name
  policy     = data.aws_iam_policy_document.pulling[0].json
}
