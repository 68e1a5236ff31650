# No account is needed: the provider is mocked, data sources answer what stands here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

run "costs_nothing_while_idle" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) + length(aws_eip.nat) + length(aws_vpc_endpoint.interface) == 0
    error_message = "economy must have no NAT gateway, no address and no interface endpoint"
  }
  assert {
    condition     = length(aws_budgets_budget.monthly) + length(aws_launch_template.instance) == 0
    error_message = "budget and EC2 are off by default"
  }
  assert {
    condition     = length(aws_iam_role_policy.bedrock) == 0
    error_message = "jobs may ask no model by default"
  }
  assert {
    condition     = toset(keys(aws_batch_job_queue.this)) == toset(["fargate", "fargate_spot"])
    error_message = "there are two queues by default"
  }
}

run "lets_nothing_in" {
  command = plan

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.endpoints) == 0
    error_message = "economy has no inbound rule"
  }
  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.internet : rule.to_port] == [443]
    error_message = "jobs reach HTTPS only"
  }
}

run "asks_for_all_zones_that_are_there" {
  command = plan
  variables {
    zones = 4
  }

  assert {
    condition     = keys(aws_subnet.jobs) == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    error_message = "a region with three zones gives three"
  }
}

run "names_the_settings_of_the_server" {
  variables {
    image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/worker:2"
  }

  assert {
    condition     = output.bucket == "mcp-cloud-agents-123456789012-eu-central-1"
    error_message = "the bucket is named after deployment, account and region"
  }
  assert {
    condition     = output.job_definitions == { x86_64 = "mcp-cloud-agents-x86_64", arm64 = "mcp-cloud-agents-arm64" }
    error_message = "definitions are given by name, without revision"
  }
  assert {
    condition     = output.image == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/worker:2" && length(aws_ecr_repository.worker) == 0
    error_message = "an image of one's own needs no repository"
  }
  assert {
    condition     = output.profile == "economy" && output.region == "eu-central-1" && output.account_id == "123456789012"
    error_message = "profile, region and account are told"
  }
}

run "the_job_role_reads_the_secrets_that_are_named" {
  variables {
    readable_secrets = ["arn:aws:ssm:eu-central-1:123456789012:parameter/team/token"]
  }

  assert {
    condition     = aws_iam_role_policy.readable_secrets[0].role == aws_iam_role.job.id
    error_message = "the job role reads it"
  }
  assert {
    condition     = !can(jsondecode(aws_batch_job_definition.this["x86_64"].container_properties).secrets)
    error_message = "the definition does not have it"
  }
}

run "keys_of_models_come_by_reference" {
  variables {
    secrets = { MODEL_KEY = "arn:aws:ssm:eu-central-1:123456789012:parameter/team/key" }
  }

  assert {
    condition     = jsondecode(aws_batch_job_definition.this["x86_64"].container_properties).secrets[0].valueFrom == var.secrets["MODEL_KEY"]
    error_message = "the definition has the ARN"
  }
  assert {
    condition     = aws_iam_role_policy.secrets[0].role == aws_iam_role.execution.id
    error_message = "the execution role reads it"
  }
}

run "models_of_bedrock_are_asked_with_the_role_of_jobs" {
  variables {
    bedrock_models = ["arn:aws:bedrock:*::foundation-model/anthropic.*"]
  }

  assert {
    condition     = aws_iam_role_policy.bedrock[0].role == aws_iam_role.job.id && length(aws_vpc_endpoint.interface) == 0
    error_message = "the job role asks, and economy needs no endpoint"
  }
  assert {
    condition     = contains(jsondecode(aws_batch_job_definition.this["arm64"].container_properties).environment, { name = "AWS_REGION", value = "eu-central-1" })
    error_message = "a job is told the region to ask in"
  }
}

run "events_can_be_off" {
  variables {
    events = false
  }

  assert {
    condition     = output.events_queue_url == null && length(aws_cloudwatch_event_rule.jobs) == 0
    error_message = "no queue, no rule, null"
  }
}
