# AWS Batch -> EventBridge -> SQS. Events of AWS are free, and a queue that nobody reads costs nothing.

resource "aws_sqs_queue" "events" {
  count = var.events ? 1 : 0

  name                       = "${var.name}-events"
  message_retention_seconds  = 3600 # older news is in DescribeJobs
  visibility_timeout_seconds = 30
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = local.tags
}

resource "aws_cloudwatch_event_rule" "jobs" {
  count = var.events ? 1 : 0

  name        = "${var.name}-jobs"
  description = "Changes of jobs in the queues of ${var.name}"
  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job State Change"]
    detail      = { jobQueue = [for queue in aws_batch_job_queue.this : queue.arn] }
  })
  tags = local.tags
}

resource "aws_cloudwatch_event_target" "jobs" {
  count = var.events ? 1 : 0

  rule      = aws_cloudwatch_event_rule.jobs[0].name
  target_id = "events-queue"
  arn       = aws_sqs_queue.events[0].arn
}

data "aws_iam_policy_document" "events" {
  count = var.events ? 1 : 0

  statement {
    sid       = "FromTheRule"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events[0].arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.jobs[0].arn]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  count = var.events ? 1 : 0

  queue_url = aws_sqs_queue.events[0].url
  policy    = data.aws_iam_policy_document.events[0].json
}
