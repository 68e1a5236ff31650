# Models of Amazon Bedrock, which the worker asks with the job's role: there is no key to keep.

locals {
  has_bedrock = length(var.bedrock_models) > 0
  bedrock_allows = {
    actions   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"] # Converse asks for these, too
    resources = distinct(var.bedrock_models)
  }
}

resource "aws_iam_role_policy" "bedrock" {
  count = local.has_bedrock ? 1 : 0

  name   = "bedrock"
  role   = aws_iam_role.job.id
  policy = data.aws_iam_policy_document.bedrock[0].json
}

data "aws_iam_policy_document" "bedrock" {
  count = local.has_bedrock ? 1 : 0

  statement {
    sid       = "AskModels"
    actions   = local.bedrock_allows.actions
    resources = local.bedrock_allows.resources
  }
}
