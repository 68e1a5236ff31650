# execution: what Fargate does before and beside the container. job: what the worker may do.
# Commands of a job reach neither.

data "aws_iam_policy_document" "assume_tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "execution" {
  name                 = "${var.name}-execution-${local.region}"
  description          = "Pulls the image and ships the log of a job"
  assume_role_policy   = data.aws_iam_policy_document.assume_tasks.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "execution" {
  name   = "pull-and-log"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.jobs.arn}:log-stream:*"]
  }

  dynamic "statement" {
    for_each = local.from_ecr ? [1] : []
    content {
      sid       = "LogInToRegistry"
      actions   = ["ecr:GetAuthorizationToken"]
      resources = ["*"] # knows no resources
    }
  }

  dynamic "statement" {
    for_each = local.from_ecr ? [1] : []
    content {
      sid       = "Pull"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [local.repository_arn]
    }
  }
}

resource "aws_iam_role" "job" {
  name                 = "${var.name}-job-${local.region}"
  description          = "The worker inside a job: its folders of one bucket"
  assume_role_policy   = data.aws_iam_policy_document.assume_tasks.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "job" {
  name   = "bucket"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.job.json
}

data "aws_iam_policy_document" "job" {
  statement {
    sid       = "ReadAndWrite"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = [for prefix in local.prefixes : "${aws_s3_bucket.this.arn}/${prefix}/*"]
  }

  # Without it S3 answers 403 for a key that is not there, which looks like a missing permission.
  # A condition on s3:prefix would bring that back: a read has no prefix. The bucket holds nothing else.
  statement {
    sid       = "TellMissingFromRefused"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
  }
}
