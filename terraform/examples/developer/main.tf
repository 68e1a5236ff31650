# One person, one account: the cheapest that works. $0 while nothing runs, but for what is stored.

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

variable "budget_email" {
  type        = string
  default     = null
  description = "Who is told when a month costs more than $20. Nobody by default."
}

provider "aws" {
  region = var.region
}

module "agents" {
  source = "../.."

  max_vcpus          = 8
  force_destroy      = true # results are copies; terraform destroy takes all away
  monthly_budget_usd = var.budget_email == null ? null : 20
  budget_emails      = var.budget_email == null ? [] : [var.budget_email]
}
