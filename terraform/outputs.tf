# The contract with: terraform output -json | mcp-cloud-agents configure aws --from-terraform -

output "region" {
  description = "Region of everything below."
  value       = local.region
}

output "account_id" {
  description = "Account of everything below."
  value       = local.account
}

output "profile" {
  description = "Network profile: economy or private."
  value       = var.profile
}

output "bucket" {
  description = "Bucket with jobs/, packs/ and environments/."
  value       = aws_s3_bucket.this.bucket
}

output "audit_bucket" {
  description = "Bucket that servers copy their audit to; null when audit is off."
  value       = one(aws_s3_bucket.audit[*].bucket)
}

output "queues" {
  description = "ARNs of the job queues: fargate, fargate_spot, and ec2 and gpu where they are on."
  value       = { for key, queue in aws_batch_job_queue.this : key => queue.arn }
}

output "job_definitions" {
  description = "Names of the job definitions without revision: x86_64 and arm64 for Fargate; ec2 and gpu for the queues of these names."
  value       = { for key, definition in aws_batch_job_definition.this : key => definition.name }
}

output "log_group" {
  description = "Log group of jobs; streams begin with job/."
  value       = aws_cloudwatch_log_group.jobs.name
}

output "events_queue_url" {
  description = "SQS queue with changes of jobs; null when events is off."
  value       = one(aws_sqs_queue.events[*].url)
}

output "image" {
  description = "URI of the worker image: what to push to, where the module made the repository."
  value       = local.image
}

output "ephemeral_storage_gib" {
  description = "Disk of a job; what is above 20 GiB is in its price."
  value       = var.ephemeral_storage_gib
}

output "job_role_arn" {
  description = "Role of the worker inside a job."
  value       = aws_iam_role.job.arn
}

output "execution_role_arn" {
  description = "Role that pulls the image and ships the log."
  value       = aws_iam_role.execution.arn
}

output "submitter_policy_arn" {
  description = "Managed policy for who submits jobs."
  value       = aws_iam_policy.submitter.arn
}

output "team_budget_table" {
  description = "Table that a team counts its money in; null when team_budget is off."
  value       = one(aws_dynamodb_table.team[*].name)
}
