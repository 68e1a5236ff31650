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

# That the messages are clear is held by the project's own tests; here, that each check is there.

run "an_unknown_profile" {
  command = plan
  variables {
    profile = "cheap"
  }
  expect_failures = [var.profile]
}

run "a_name_that_no_bucket_can_have" {
  command = plan
  variables {
    name = "My_Agents"
  }
  expect_failures = [var.name]
}

run "a_broken_network" {
  command = plan
  variables {
    vpc_cidr = "10.40.0.0/33"
  }
  expect_failures = [var.vpc_cidr]
}

run "nat_in_economy" {
  command = plan
  variables {
    nat_gateway   = true
    dns_allowlist = ["packages.example.com"]
  }
  expect_failures = [var.nat_gateway]
}

run "all_secrets_of_the_account" {
  command = plan
  variables {
    readable_secrets = ["arn:aws:ssm:eu-central-1:123456789012:parameter/*"]
  }
  expect_failures = [var.readable_secrets]
}

run "a_key_in_place_of_its_arn" {
  command = plan
  variables {
    secrets = { MODEL_KEY = "sk-ant-1" }
  }
  expect_failures = [var.secrets]
}

run "every_model_there_is" {
  command = plan
  variables {
    bedrock_models = ["*"]
  }
  expect_failures = [var.bedrock_models]
}

run "a_profile_without_the_models_behind_it" {
  command = plan
  variables {
    bedrock_models = ["arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.*"]
  }
  expect_failures = [var.bedrock_models]
}

run "a_budget_that_tells_nobody" {
  command = plan
  variables {
    monthly_budget_usd = 20
  }
  expect_failures = [var.monthly_budget_usd]
}
