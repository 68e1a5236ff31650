# Two profiles, one VPC of its own; README.md has the picture.
#   network.tf  egress.tf          where jobs run and what they can reach
#   compute.tf  job_definitions.tf queues, and what a job is
#   bucket.tf   registry.tf  logs.tf  events.tf  budget.tf  team.tf
#   roles.tf    submitter.tf  secrets.tf  readable_secrets.tf  bedrock.tf  who may do what

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no local or wavelength zones
  }
}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  suffix    = data.aws_partition.current.dns_suffix
  region    = data.aws_region.current.region

  private  = var.profile == "private"
  internet = !local.private || var.nat_gateway
  on_ec2   = var.ec2_queue || var.gpu_queue

  tags = merge(var.tags, { "mcp-cloud-agents" = var.name })
}
