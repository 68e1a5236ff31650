# A copy of the servers' audit that nobody who submits jobs can take back: audit/<machine>/<from>-<to>.jsonl.
# Jobs have no part in it; who submits may add and read. Off by default.

locals {
  has_audit  = var.audit != null
  audit_arns = aws_s3_bucket.audit[*].arn # none, or one
}

resource "aws_s3_bucket" "audit" {
  count = local.has_audit ? 1 : 0

  bucket              = "${var.name}-audit-${local.account}-${local.region}"
  object_lock_enabled = true # can be chosen only when a bucket is made
  force_destroy       = false
  tags                = local.tags
}

resource "aws_s3_bucket_versioning" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  rule {
    default_retention {
      mode = upper(var.audit.mode)
      days = var.audit.days
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit]
}

resource "aws_s3_bucket_ownership_controls" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "audit" {
  count = local.has_audit ? 1 : 0

  bucket                  = aws_s3_bucket.audit[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256" # a key of one's own costs $1 a month
    }
  }
}

# Entries are kept for ever: a few MB a year. Only what was never finished goes.
resource "aws_s3_bucket_lifecycle_configuration" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  rule {
    id     = "leftovers"
    status = "Enabled"
    filter {
      prefix = ""
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }

  depends_on = [aws_s3_bucket_versioning.audit]
}

data "aws_iam_policy_document" "audit" {
  count = local.has_audit ? 1 : 0

  statement {
    sid       = "TlsOnly"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.audit[0].arn, "${aws_s3_bucket.audit[0].arn}/*"]
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

  # Object Lock keeps versions; this keeps a piece from being hidden behind a newer one.
  statement {
    sid       = "WriteOnce"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.audit[0].arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }
    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation" # false for the parts of a multipart upload
      values   = ["true"]
    }
  }

  # The roles of jobs have no permission here; this holds whatever is attached to them later.
  statement {
    sid       = "NoJobs"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.audit[0].arn, "${aws_s3_bucket.audit[0].arn}/*"]
    principals {
      type        = "AWS"
      identifiers = [aws_iam_role.job.arn, aws_iam_role.execution.arn]
    }
  }
}

resource "aws_s3_bucket_policy" "audit" {
  count = local.has_audit ? 1 : 0

  bucket = aws_s3_bucket.audit[0].id
  policy = data.aws_iam_policy_document.audit[0].json

  depends_on = [aws_s3_bucket_public_access_block.audit]
}
