# A team in one account: no internet but for the names below, a budget, and a policy on the roles
# that people sign in with. $80.30 a month while idle: docs/aws-costs.md has the sum.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7.0"
    }
  }
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "Where jobs run."
}

variable "developer_roles" {
  type        = set(string)
  default     = []
  description = "Names of IAM roles that may submit jobs."
}

variable "budget_emails" {
  type        = list(string)
  description = "Who is told when the month becomes dear."
}

variable "image" {
  type        = string
  default     = null
  description = "URI of the worker image in ECR, best by digest. Without it, a repository is made."
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { CostCenter = "engineering" }
  }
}

module "agents" {
  source = "../.."

  name    = "team-agents"
  profile = "private"
  image   = var.image

  nat_gateway = true
  # the package indexes that set-up fetches from, each by its name
  dns_allowlist = ["packages.example.com", "files.example.com", "npm.example.com"]

  max_vcpus           = 64
  jobs_retention_days = 90
  log_retention_days  = 30

  # One queue of events has one reader, and here are many servers: they ask AWS Batch instead.
  events = false

  team_budget        = true # what all of them may spend: [budget.team] in each one's settings
  monthly_budget_usd = 300
  budget_emails      = var.budget_emails
}

resource "aws_iam_role_policy_attachment" "developers" {
  for_each = var.developer_roles

  role       = each.value
  policy_arn = module.agents.submitter_policy_arn
}
