# Secrets of jobs' commands: the worker reads them with the job's role at the start of a phase, and gives
# them to the commands that the person's file names. The commands themselves reach neither role nor service.

locals {
  has_readable_secrets = length(var.readable_secrets) > 0

  # Service to the ARNs there.
  readable_arns = { for arn in var.readable_secrets : split(":", arn)[2] => arn... }
  readable_allows = {
    for service, arns in local.readable_arns : service => [{
      actions   = [service == "ssm" ? "ssm:GetParameter" : "secretsmanager:GetSecretValue"]
      resources = distinct(arns)
    }]
  }
}

resource "aws_iam_role_policy" "readable_secrets" {
  count = local.has_readable_secrets ? 1 : 0

  name   = "readable-secrets"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.readable_secrets[0].json
}

data "aws_iam_policy_document" "readable_secrets" {
  count = local.has_readable_secrets ? 1 : 0

  dynamic "statement" {
    for_each = local.readable_allows
    content {
      sid       = { secretsmanager = "ReadSecrets", ssm = "ReadParameters" }[statement.key]
      actions   = statement.value[0].actions
      resources = statement.value[0].resources
    }
  }

  # The account's default keys need no statement. One of your own decrypts for these two services alone.
  dynamic "statement" {
    for_each = length(var.readable_secrets_kms_keys) > 0 ? [1] : []
    content {
      sid       = "DecryptSecrets"
      actions   = ["kms:Decrypt"]
      resources = var.readable_secrets_kms_keys
      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for service in keys(local.readable_arns) : "${service}.${local.region}.${local.suffix}"]
      }
    }
  }
}
