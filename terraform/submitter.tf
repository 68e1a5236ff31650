# What a developer's server needs, and nothing that changes the deployment. Attach it to people.

resource "aws_iam_policy" "submitter" {
  name        = "${var.name}-submitter-${local.region}"
  description = "Submit, follow and end jobs of ${var.name}"
  policy      = data.aws_iam_policy_document.submitter.json
  tags        = local.tags
}

data "aws_iam_policy_document" "submitter" {
  statement {
    sid     = "Submit"
    actions = ["batch:SubmitJob"]
    resources = concat(
      [for queue in aws_batch_job_queue.this : queue.arn],
      local.definition_arns,
      [for arn in local.definition_arns : "${arn}:*"], # a request names a revision, whatever was asked for
      [local.any_job],
    )
  }
  statement {
    sid       = "TagWhatIsSubmitted"
    actions   = ["batch:TagResource"]
    resources = [local.any_job]
  }
  statement {
    sid       = "End"
    actions   = ["batch:TerminateJob"] # TerminateJobs needs the same
    resources = [local.any_job]
    dynamic "condition" {
      for_each = compact([var.terminate_tag_key]) # neither null nor empty
      content {
        test     = "Null"
        variable = "aws:ResourceTag/${condition.value}"
        values   = ["false"]
      }
    }
  }
  statement {
    sid       = "SeeTheLine"
    actions   = ["batch:GetJobQueueSnapshot"]
    resources = [for queue in aws_batch_job_queue.this : queue.arn]
  }
  statement {
    sid = "Look"
    actions = [
      "batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions", "batch:DescribeJobQueues",
      "batch:DescribeJobs", "batch:ListJobs", "logs:DescribeLogGroups", "servicequotas:GetServiceQuota",
    ]
    resources = ["*"] # these know no resources
  }
  statement {
    sid       = "ReadLogs"
    actions   = ["logs:GetLogEvents"]
    resources = ["${aws_cloudwatch_log_group.jobs.arn}:log-stream:*"]
  }
  statement {
    sid       = "ReadAndWrite"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.this.arn}/jobs/*", "${aws_s3_bucket.this.arn}/packs/*"]
  }
  statement {
    sid       = "SeeTheBucket"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
  }

  dynamic "statement" {
    for_each = local.audit_arns
    content {
      sid       = "AddToTheAudit"
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = ["${statement.value}/audit/*"]
    }
  }
  dynamic "statement" {
    for_each = local.audit_arns
    content {
      sid       = "SeeTheAudit"
      actions   = ["s3:ListBucket"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = aws_dynamodb_table.team[*].arn
    content {
      sid       = "CountWithTheTeam"
      actions   = ["dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Scan"]
      resources = [statement.value] # a transaction needs what its parts need
    }
  }

  dynamic "statement" {
    for_each = local.from_ecr ? [1] : []
    content {
      sid       = "SeeTheImage"
      actions   = ["ecr:DescribeImages"]
      resources = [local.repository_arn]
    }
  }

  dynamic "statement" {
    for_each = var.events ? [1] : []
    content {
      sid       = "WaitForEvents"
      actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
      resources = [aws_sqs_queue.events[0].arn]
    }
  }
}

locals {
  any_job = "arn:${local.partition}:batch:${local.region}:${local.account}:job/*" # ids come with the job
  definition_arns = [
    for definition in aws_batch_job_definition.this :
    "arn:${local.partition}:batch:${local.region}:${local.account}:job-definition/${definition.name}"
  ]
}
