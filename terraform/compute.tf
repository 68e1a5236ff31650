# One queue is one price: Spot does not fall back to on-demand behind anybody's back.

locals {
  fargate = { fargate = "FARGATE", fargate_spot = "FARGATE_SPOT" }
  instances = merge(
    var.ec2_queue ? { ec2 = { types = var.ec2_instance_types, ami = "ECS_AL2023" } } : {},
    var.gpu_queue ? { gpu = { types = var.gpu_instance_types, ami = "ECS_AL2023_NVIDIA" } } : {},
  )
  environment_arns = merge(
    { for key, made in aws_batch_compute_environment.fargate : key => made.arn },
    { for key, made in aws_batch_compute_environment.instances : key => made.arn },
  )

  # The causes that Batch names for a job that waits at the head of its queue.
  stuck = {
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"           = var.runnable_limit_s
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE" = 600
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"         = 600
  }
}

# A compute environment under a queue cannot be replaced in place: hence the prefix.

resource "aws_batch_compute_environment" "fargate" {
  for_each = local.fargate

  name_prefix = "${var.name}-${each.key}-"
  type        = "MANAGED"
  tags        = local.tags

  compute_resources {
    type               = each.value
    max_vcpus          = var.max_vcpus
    subnets            = [for subnet in aws_subnet.jobs : subnet.id]
    security_group_ids = [aws_security_group.jobs.id]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_compute_environment" "instances" {
  for_each = local.instances

  name_prefix = "${var.name}-${each.key}-"
  type        = "MANAGED"
  tags        = local.tags

  compute_resources {
    type                = "EC2"
    allocation_strategy = "BEST_FIT_PROGRESSIVE"
    min_vcpus           = 0 # nothing runs, nothing costs
    max_vcpus           = var.max_vcpus
    instance_type       = each.value.types
    instance_role       = aws_iam_instance_profile.instance[0].arn
    subnets             = [for subnet in aws_subnet.jobs : subnet.id]
    security_group_ids  = [aws_security_group.jobs.id]
    tags                = local.tags

    ec2_configuration {
      image_type = each.value.ami
    }

    launch_template {
      launch_template_id = aws_launch_template.instance[0].id
      version            = tostring(aws_launch_template.instance[0].latest_version)
    }
  }

  depends_on = [aws_iam_role_policy.instance]

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_batch_job_queue" "this" {
  for_each = toset(concat(keys(local.fargate), keys(local.instances)))

  name     = "${var.name}-${each.key}"
  state    = "ENABLED"
  priority = 10
  tags     = local.tags

  compute_environment_order {
    order               = 1
    compute_environment = local.environment_arns[each.key]
  }

  dynamic "job_state_time_limit_action" {
    for_each = local.stuck
    content {
      state            = "RUNNABLE"
      action           = "CANCEL"
      reason           = job_state_time_limit_action.key
      max_time_seconds = job_state_time_limit_action.value
    }
  }
}
