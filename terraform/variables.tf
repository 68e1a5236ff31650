# What a variable costs while nothing runs stands in its description, in USD, us-east-1.
# Where the numbers come from, and as of when: docs/aws-costs.md.

variable "name" {
  type        = string
  default     = "mcp-cloud-agents"
  description = "Prefix of every resource. Two deployments in one account and region need two names."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,22}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name must be 3 to 24 lower-case letters, digits and single hyphens, and begin with a letter: it is part of a bucket's name."
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "More tags for every resource. The tag mcp-cloud-agents = <name> is always there: activate it for cost allocation."

  validation {
    condition     = alltrue([for key in keys(var.tags) : key != "mcp-cloud-agents" && !startswith(lower(key), "aws:")])
    error_message = "tags may not hold mcp-cloud-agents, which the module sets, nor keys that begin with aws:."
  }
}

# Network

variable "profile" {
  type        = string
  default     = "economy"
  description = "economy: public subnets, one public IP a running task ($0.005 an hour each), nothing inbound, $0 while idle. private: no way to the internet, 3 interface endpoints in each zone: $43.80 a month in two zones."

  validation {
    condition     = contains(["economy", "private"], var.profile)
    error_message = "profile must be economy or private."
  }
}

variable "zones" {
  type        = number
  default     = 2
  description = "Availability zones to run in. $0 in economy; in private each zone costs $21.90 a month."

  validation {
    condition     = contains([1, 2, 3, 4], var.zones)
    error_message = "zones must be 1, 2, 3 or 4."
  }
}

variable "vpc_cidr" {
  type        = string
  default     = "10.40.0.0/16"
  description = "Addresses of the VPC that the module makes: a private range, /16 to /22."

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(cidrhost(var.vpc_cidr, 0) == split("/", var.vpc_cidr)[0], false)
    error_message = "vpc_cidr must be an IPv4 network such as 10.40.0.0/16, with no bits set behind the prefix."
  }
  validation {
    condition     = !can(cidrnetmask(var.vpc_cidr)) || try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 22, false)
    error_message = "vpc_cidr must be between /16 and /22: each running task takes one address."
  }
  validation {
    condition     = !can(cidrnetmask(var.vpc_cidr)) || can(regex("^(10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.)", var.vpc_cidr))
    error_message = "vpc_cidr must lie in a private range: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16."
  }
}

variable "nat_gateway" {
  type        = bool
  default     = false
  description = "private only: a way out through one NAT gateway, for the names in dns_allowlist. $36.50 a month with its address, and $0.045 a GB."

  validation {
    condition     = !var.nat_gateway || var.profile == "private"
    error_message = "nat_gateway is of the private profile: in economy each task has a public IP of its own. Set profile = \"private\", or leave nat_gateway off."
  }
  validation {
    condition     = !var.nat_gateway || length(var.dns_allowlist) > 0
    error_message = "nat_gateway needs dns_allowlist: without names the gateway costs $36.50 a month and nothing can be reached. [\"*\"] allows every name."
  }
  validation {
    condition     = length(var.dns_allowlist) == 0 || var.profile != "private" || var.nat_gateway
    error_message = "dns_allowlist has no effect in private without nat_gateway: there is no way to the names. Set nat_gateway = true, or leave the list empty."
  }
}

variable "dns_allowlist" {
  type        = list(string)
  default     = []
  description = "The only names that jobs may resolve besides those of AWS that they need, such as packages.example.com or *.files.example.com. Empty: every name in economy, none in private. Under $0.01 a month, and $0.60 a million queries."

  validation {
    condition     = alltrue([for name in var.dns_allowlist : name == "*" || can(regex("^(\\*\\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$", name))])
    error_message = "dns_allowlist holds lower-case domain names such as packages.example.com or *.files.example.com (the star stands for all names below), or \"*\" alone: no URL, port or address."
  }
}

variable "egress_ports" {
  type        = list(number)
  default     = [443]
  description = "TCP ports that jobs may reach on the internet, where there is a way to it (economy, or NAT)."

  validation {
    condition     = contains(var.egress_ports, 443) && alltrue([for port in var.egress_ports : port >= 1 && port <= 65535 && floor(port) == port])
    error_message = "egress_ports must be port numbers and hold 443, which image, log and bucket need."
  }
}

variable "interface_endpoints" {
  type        = list(string)
  default     = []
  description = "private only: more AWS services to reach without internet, such as secretsmanager. $7.30 a month for each service and zone."

  validation {
    condition     = length(var.interface_endpoints) == 0 || var.profile == "private"
    error_message = "interface_endpoints are of the private profile: in economy jobs reach AWS over the internet, for nothing."
  }
  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z0-9][a-z0-9.-]*$", service)) && !startswith(service, "com.")])
    error_message = "interface_endpoints holds the names of services without com.amazonaws.<region>, such as secretsmanager."
  }
}

# Computing

variable "max_vcpus" {
  type        = number
  default     = 16
  description = "Most vCPUs that run at once, for each queue: a spending limit. 16 on Fargate x86 with 8 GiB each, the most it takes: $1.22 an hour."

  validation {
    condition     = var.max_vcpus >= 1 && var.max_vcpus <= 10000 && floor(var.max_vcpus) == var.max_vcpus
    error_message = "max_vcpus must be a whole number between 1 and 10000."
  }
}

variable "ec2_queue" {
  type        = bool
  default     = false
  description = "A queue on EC2 instances, which start for jobs and end after them: $0 while idle in economy; in private 3 more interface endpoints, $21.90 a month in each zone."
}

variable "ec2_instance_types" {
  type        = list(string)
  default     = ["c7i", "m7i"]
  description = "x86 instance types or families of the EC2 queue."

  validation {
    condition     = length(var.ec2_instance_types) > 0 && alltrue([for type in var.ec2_instance_types : can(regex("^[a-z0-9-]+(\\.[a-z0-9-]+)?$", type))])
    error_message = "ec2_instance_types must name at least one type or family, such as m7i or m7i.large."
  }
}

variable "gpu_queue" {
  type        = bool
  default     = false
  description = "A queue on EC2 instances with NVIDIA GPUs: $0 while idle in economy; in private the same 3 endpoints as ec2_queue, once. A new account's quota for such instances is 0."
}

variable "gpu_instance_types" {
  type        = list(string)
  default     = ["g6.xlarge"]
  description = "Instance types or families of the GPU queue. g6.xlarge (4 vCPUs, 16 GiB, one L4) costs $0.805 an hour while a job runs."

  validation {
    condition     = length(var.gpu_instance_types) > 0 && alltrue([for type in var.gpu_instance_types : can(regex("^(g|p)[a-z0-9-]+(\\.[a-z0-9-]+)?$", type))])
    error_message = "gpu_instance_types must name at least one type or family with a GPU, such as g6.xlarge."
  }
}

# Jobs

variable "image" {
  type        = string
  default     = null
  description = "URI of the worker image, best with its digest. Without it the module makes an ECR repository and takes image_tag from there."

  validation {
    condition     = var.image == null || can(regex("^[a-z0-9.-]+\\.[a-z]+(:[0-9]+)?/[a-z0-9._/-]+(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$", var.image))
    error_message = "image must be registry/repository:tag or registry/repository@sha256:digest, registry included."
  }
  validation {
    condition     = var.image == null || var.profile != "private" || var.nat_gateway || can(regex("\\.dkr\\.ecr\\.", coalesce(var.image, "-")))
    error_message = "image must lie in Amazon ECR of this region in private without nat_gateway: no other registry can be reached."
  }
}

variable "image_tag" {
  type        = string
  default     = "0.1.0"
  description = "Tag in the repository that the module makes. Tags cannot be overwritten there: a new image has a new tag. The server and its worker are of one version."

  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$", var.image_tag))
    error_message = "image_tag must be a tag: letters, digits, dots, hyphens and underscores."
  }
}

variable "writable_paths" {
  type        = list(string)
  default     = ["/scratch"]
  description = "Paths in the container that can be written; the rest of its root is read-only. Empty at the start, gone at the end."

  validation {
    condition     = length(var.writable_paths) > 0 && alltrue([for path in var.writable_paths : can(regex("^(/[A-Za-z0-9._-]+)+$", path)) && !strcontains(path, "/.")])
    error_message = "writable_paths must be absolute paths below the root, such as /workspace."
  }
}

variable "secrets" {
  type        = map(string)
  default     = {}
  description = "Keys of models for the worker: name of a variable, as in key = \"env:NAME\" of fix.models, to the ARN of the Secrets Manager secret or SSM parameter that holds it. Values stay there: neither Terraform nor the job definition has them. In private without NAT they need their endpoint, secretsmanager or ssm."

  validation {
    condition     = alltrue([for name in keys(var.secrets) : can(regex("^[A-Za-z_][A-Za-z0-9_]*$", name)) && !can(regex("^(AWS_|ECS_|MCP_CLOUD_AGENTS_|JOB_SPEC$|PATH$|HOME$|LD_|PYTHON)", name))])
    error_message = "secrets are named as variables such as ANTHROPIC_API_KEY; names that AWS, the system or the worker set are taken."
  }
  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}(:[^:*?]*:[^:*?]*:[^:*?]*)?$", arn)) || can(regex("^arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]+$", arn))])
    error_message = "secrets must be whole ARNs: of Secrets Manager secrets with the six characters at their end (:KEY:: behind it takes one value of JSON), or of SSM parameters. Never the key itself."
  }
  validation {
    condition     = var.profile != "private" || var.nat_gateway || alltrue([for arn in values(var.secrets) : contains(var.interface_endpoints, try(split(":", arn)[2], ""))])
    error_message = "secrets cannot be reached in private without nat_gateway: add secretsmanager (or ssm, for parameters) to interface_endpoints."
  }
}

variable "readable_secrets" {
  type        = list(string)
  default     = []
  description = "Secrets that jobs' commands may get by [secrets] of the person's file: ARNs of Secrets Manager secrets and SSM parameters. The worker reads them with the job's role, when a job is granted one. In private without NAT they need their endpoint, secretsmanager or ssm."

  validation {
    condition     = alltrue([for arn in var.readable_secrets : can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+-[A-Za-z0-9]{6}$", arn)) || can(regex("^arn:[a-z-]+:ssm:[a-z0-9-]+:[0-9]{12}:parameter/[A-Za-z0-9_./-]+$", arn))])
    error_message = "readable_secrets must be whole ARNs: of Secrets Manager secrets with the six characters at their end, or of SSM parameters. Never a value, never *."
  }
  validation {
    condition     = var.profile != "private" || var.nat_gateway || alltrue([for arn in var.readable_secrets : contains(var.interface_endpoints, try(split(":", arn)[2], ""))])
    error_message = "readable_secrets cannot be reached in private without nat_gateway: add secretsmanager (or ssm, for parameters) to interface_endpoints."
  }
}

variable "readable_secrets_kms_keys" {
  type        = list(string)
  default     = []
  description = "Keys of your own that encrypt readable_secrets: ARNs of KMS keys, whose policies must let the account's roles use them. None for the account's default keys."

  validation {
    condition     = alltrue([for arn in var.readable_secrets_kms_keys : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))])
    error_message = "readable_secrets_kms_keys must be whole ARNs of KMS keys; aliases do not work in policies."
  }
  validation {
    condition     = length(var.readable_secrets_kms_keys) == 0 || length(var.readable_secrets) > 0
    error_message = "readable_secrets_kms_keys needs readable_secrets that they encrypt."
  }
}

variable "bedrock_models" {
  type        = list(string)
  default     = []
  description = "Models of Amazon Bedrock that the worker may ask with the job's role: ARNs of foundation models and inference profiles, * within. A profile needs the models behind it, too. $0 while idle in economy; in private one more interface endpoint, $7.30 a month in each zone."

  validation {
    condition     = alltrue([for arn in var.bedrock_models : can(regex("^arn:aws[a-z-]*:bedrock:([a-z0-9-]*\\*?)?::foundation-model/[a-z0-9][A-Za-z0-9.:*_-]*$", arn)) || can(regex("^arn:aws[a-z-]*:bedrock:[a-z0-9-]+:[0-9]{12}:(application-)?inference-profile/[a-z0-9][A-Za-z0-9.:*_-]*$", arn))])
    error_message = "bedrock_models must be ARNs such as arn:aws:bedrock:*::foundation-model/anthropic.* or arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.*: a name begins with what it is, never with a star."
  }
  validation {
    condition     = length(var.bedrock_models) == 0 || anytrue([for arn in var.bedrock_models : strcontains(arn, ":foundation-model/")])
    error_message = "bedrock_models holds profiles alone, which answers nothing: add the foundation models that they lead to, in each region of theirs (arn:aws:bedrock:*::foundation-model/...)."
  }
}

variable "ephemeral_storage_gib" {
  type        = number
  default     = 20
  description = "Disk of a job in GiB, 20 to 200. The first 20 are included; each more costs $0.000111 an hour while a job runs."

  validation {
    condition     = var.ephemeral_storage_gib >= 20 && var.ephemeral_storage_gib <= 200 && floor(var.ephemeral_storage_gib) == var.ephemeral_storage_gib
    error_message = "ephemeral_storage_gib must be a whole number between 20 and 200."
  }
}

variable "job_timeout_s" {
  type        = number
  default     = 3600
  description = "Seconds after which AWS ends a job that was submitted without a timeout of its own."

  validation {
    condition     = var.job_timeout_s >= 60 && var.job_timeout_s <= 1209600 && floor(var.job_timeout_s) == var.job_timeout_s
    error_message = "job_timeout_s must be a whole number between 60 and 1209600 (14 days)."
  }
}

variable "runnable_limit_s" {
  type        = number
  default     = 3600
  description = "Seconds after which a job at the head of a queue that finds no capacity is cancelled, so that it does not start when nobody waits for it any more."

  validation {
    condition     = var.runnable_limit_s >= 600 && var.runnable_limit_s <= 86400 && floor(var.runnable_limit_s) == var.runnable_limit_s
    error_message = "runnable_limit_s must be a whole number between 600 and 86400."
  }
}

# What is kept

variable "jobs_retention_days" {
  type        = number
  default     = 30
  description = "Days that results, logs and patches of a job are kept in the bucket ($0.023 a GB and month)."

  validation {
    condition     = var.jobs_retention_days >= 1 && floor(var.jobs_retention_days) == var.jobs_retention_days
    error_message = "jobs_retention_days must be a whole number, 1 or more."
  }
}

variable "packs_retention_days" {
  type        = number
  default     = 30
  description = "Days that sent trees are kept in the bucket."

  validation {
    condition     = var.packs_retention_days >= 2 && floor(var.packs_retention_days) == var.packs_retention_days
    error_message = "packs_retention_days must be a whole number, 2 or more: a queued job still needs its tree."
  }
}

variable "environments_retention_days" {
  type        = number
  default     = 14
  description = "Days that built environments are kept in the bucket. They are built again when they are gone."

  validation {
    condition     = var.environments_retention_days >= 1 && floor(var.environments_retention_days) == var.environments_retention_days
    error_message = "environments_retention_days must be a whole number, 1 or more."
  }
}

variable "log_retention_days" {
  type        = number
  default     = 14
  description = "Days that CloudWatch keeps the logs of jobs ($0.03 a GB and month; $0.50 a GB to take them in)."

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "write_once" {
  type        = bool
  default     = false
  description = "The bucket refuses to overwrite packs, environments and results, whoever asks: every put there must be conditional (If-None-Match)."
}

variable "audit" {
  type = object({
    mode = optional(string, "governance")
    days = optional(number, 365)
  })
  default     = null
  description = "A second bucket, with Object Lock, that servers copy their audit to: {} turns it on. Nobody changes or deletes an object there for days: not even root with mode compliance, with governance only who has s3:BypassGovernanceRetention. terraform destroy stops while there is one. $0 while empty ($0.023 a GB and month)."

  validation {
    condition     = var.audit == null || try(contains(["governance", "compliance"], var.audit.mode), false)
    error_message = "audit.mode must be governance or compliance."
  }
  validation {
    condition     = var.audit == null || try(var.audit.days >= 1 && var.audit.days <= 36500 && floor(var.audit.days) == var.audit.days, false)
    error_message = "audit.days must be a whole number between 1 and 36500."
  }
}

variable "force_destroy" {
  type        = bool
  default     = false
  description = "terraform destroy deletes the bucket and the repository with all that is in them, never the bucket of the audit. Off: it stops while there is something."
}

variable "team_budget" {
  type        = bool
  default     = false
  description = "A DynamoDB table in which the servers of a team count their money together (budget.team.table of the settings). $0 while idle; about $0.00001 a job, and $0.20 a GB and month for the backup of the last 35 days. force_destroy also decides whether it may be deleted."
}

# Watching

variable "events" {
  type        = bool
  default     = true
  description = "Changes of jobs go to an SQS queue that a server can wait on. $0 while idle. One queue has one reader: turn it off where several servers share the deployment."
}

variable "monthly_budget_usd" {
  type        = number
  default     = null
  description = "Mails at 50, 80 and 100 % of this sum a month, and when the forecast is above it. It warns, hours late, and stops nothing. Two budgets in an account are free, each more costs $0.62 a month."

  validation {
    condition     = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = "monthly_budget_usd must be above 0."
  }
  validation {
    condition     = var.monthly_budget_usd == null || length(var.budget_emails) > 0
    error_message = "monthly_budget_usd needs budget_emails: a budget that tells nobody warns nobody."
  }
  validation {
    condition     = length(var.budget_emails) == 0 || var.monthly_budget_usd != null
    error_message = "budget_emails needs monthly_budget_usd: there is no budget to write about."
  }
}

variable "budget_emails" {
  type        = list(string)
  default     = []
  description = "Who gets the mails of the budget, at most 10."

  validation {
    condition     = length(var.budget_emails) <= 10 && alltrue([for mail in var.budget_emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", mail))])
    error_message = "budget_emails must be at most 10 mail addresses."
  }
}

variable "budget_by_tag" {
  type        = bool
  default     = false
  description = "The budget counts only what carries the tag mcp-cloud-agents = <name>. Turn it on when that tag is activated for cost allocation: before, such a budget sees $0 and stays silent."

  validation {
    condition     = !var.budget_by_tag || var.monthly_budget_usd != null
    error_message = "budget_by_tag needs monthly_budget_usd: there is no budget to narrow."
  }
}

# Permissions

variable "terminate_tag_key" {
  type        = string
  default     = "mcp-cloud-agents:job"
  description = "The submitter policy ends only jobs that carry a tag with this key: by default that of this project's jobs, against mistakes: who may submit may tag, too. Empty: any Batch job of the account and region."
}

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = "Boundary of every role of the module, where an account asks for one."

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of an IAM policy."
  }
}
