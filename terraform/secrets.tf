# Keys of models, for the worker alone: Fargate reads them before the container starts and puts
# them into its environment, which commands of a job do not see. The job's own role cannot read them.

locals {
  has_secrets = length(var.secrets) > 0
  secrets     = [for name, arn in var.secrets : { name = name, valueFrom = arn }]

  # Service to the ARNs there, without the parts behind a name that choose a value of JSON and a version.
  secret_arns = {
    for arn in values(var.secrets) : split(":", arn)[2] => join(":", slice(split(":", arn), 0, min(7, length(split(":", arn)))))...
  }
  secret_allows = {
    for service, arns in local.secret_arns : service => [{
      actions   = [service == "ssm" ? "ssm:GetParameters" : "secretsmanager:GetSecretValue"]
      resources = distinct(arns)
    }]
  }
}

resource "aws_iam_role_policy" "secrets" {
  count = local.has_secrets ? 1 : 0

  name   = "secrets"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.secrets[0].json
}

# Of its own, so that EC2 instances do not have it: there, too, the agent takes the execution role.
data "aws_iam_policy_document" "secrets" {
  count = local.has_secrets ? 1 : 0

  dynamic "statement" {
    for_each = local.secret_allows
    content {
      sid       = { secretsmanager = "ReadSecrets", ssm = "ReadParameters" }[statement.key]
      actions   = statement.value[0].actions
      resources = statement.value[0].resources
    }
  }
}
