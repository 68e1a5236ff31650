# Handed on as they are: mcp-cloud-agents configure aws reads them from the root.

output "region" {
  value = module.agents.region
}

output "account_id" {
  value = module.agents.account_id
}

output "profile" {
  value = module.agents.profile
}

output "bucket" {
  value = module.agents.bucket
}

output "audit_bucket" {
  value = module.agents.audit_bucket
}

output "queues" {
  value = module.agents.queues
}

output "job_definitions" {
  value = module.agents.job_definitions
}

output "log_group" {
  value = module.agents.log_group
}

output "events_queue_url" {
  value = module.agents.events_queue_url
}

output "image" {
  value = module.agents.image
}

output "ephemeral_storage_gib" {
  value = module.agents.ephemeral_storage_gib
}

output "job_role_arn" {
  value = module.agents.job_role_arn
}

output "execution_role_arn" {
  value = module.agents.execution_role_arn
}

output "submitter_policy_arn" {
  value = module.agents.submitter_policy_arn
}

output "team_budget_table" {
  value = module.agents.team_budget_table
}
