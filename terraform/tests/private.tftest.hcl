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

variables {
  profile = "private"
}

run "has_no_way_to_the_internet" {
  command = plan

  assert {
    condition     = length(aws_internet_gateway.this) + length(aws_route.internet) + length(aws_route.jobs_to_nat) == 0
    error_message = "private has no internet gateway and no route"
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.internet) == 0
    error_message = "private lets nothing out but to endpoints"
  }
  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["ecr.api", "ecr.dkr", "logs"]
    error_message = "private has the endpoints that Fargate needs, and no more"
  }
  assert {
    condition     = contains(aws_route53_resolver_firewall_domain_list.allowed[0].domains, "api.ecr.eu-central-1.amazonaws.com")
    error_message = "the names of AWS that jobs need can be resolved"
  }
}

run "models_of_bedrock_need_one_endpoint" {
  command = plan
  variables {
    bedrock_models = ["arn:aws:bedrock:*::foundation-model/anthropic.*"]
  }

  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["bedrock-runtime", "ecr.api", "ecr.dkr", "logs"]
    error_message = "private reaches Bedrock by an endpoint"
  }
  assert {
    condition     = contains(aws_route53_resolver_firewall_domain_list.allowed[0].domains, "bedrock-runtime.eu-central-1.amazonaws.com")
    error_message = "its name can be resolved"
  }
}

run "goes_out_through_one_nat_gateway" {
  command = plan
  variables {
    nat_gateway   = true
    dns_allowlist = ["packages.example.com", "*.files.example.com"]
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && aws_route.jobs_to_nat[0].destination_cidr_block == "0.0.0.0/0"
    error_message = "there is one gateway, and jobs are routed to it"
  }
  assert {
    condition     = length(setsubtract(["packages.example.com", "*.files.example.com"], aws_route53_resolver_firewall_domain_list.allowed[0].domains)) == 0
    error_message = "the names asked for are allowed"
  }
  assert {
    condition     = aws_route53_resolver_firewall_rule.rest[0].action == "BLOCK" && aws_route53_resolver_firewall_config.closed[0].firewall_fail_open == "DISABLED"
    error_message = "the rest is refused, also when the firewall fails"
  }
}

run "instances_need_more_endpoints" {
  command = plan
  variables {
    ec2_queue = true
    gpu_queue = true
  }

  assert {
    condition     = keys(aws_vpc_endpoint.interface) == ["ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry", "logs"]
    error_message = "the agent of ECS needs three endpoints of its own, once"
  }
  assert {
    condition     = alltrue([for environment in aws_batch_compute_environment.instances : environment.compute_resources[0].min_vcpus == 0])
    error_message = "no instance runs while no job does"
  }
}
