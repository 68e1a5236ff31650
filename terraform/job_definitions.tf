# What a job is. Command and entry point are the image's: the worker. JOB_SPEC, sizes, timeout and
# retries are overridden for each job. Fargate refuses privileged containers and added
# capabilities by itself; no_new_privs is set by the worker, as Batch has no word for it.

locals {
  volumes = [for index, path in var.writable_paths : { name = "writable-${index}", path = path }]

  container = merge(local.has_secrets ? { secrets = local.secrets } : {}, {
    image            = local.image
    jobRoleArn       = aws_iam_role.job.arn
    executionRoleArn = aws_iam_role.execution.arn

    privileged             = false
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true } # reaps what a command leaves behind
    volumes                = [for volume in local.volumes : { name = volume.name }]
    mountPoints            = [for volume in local.volumes : { sourceVolume = volume.name, containerPath = volume.path, readOnly = false }]

    environment = concat(
      [{ name = "MCP_CLOUD_AGENTS_BACKEND", value = "aws_batch" }],
      local.has_bedrock ? [{ name = "AWS_REGION", value = local.region }] : [], # Fargate tells it, EC2 does not
    )

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.jobs.name
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = "job"
      }
    }
  })

  small = [{ type = "VCPU", value = "1" }, { type = "MEMORY", value = "2048" }]

  on_fargate = {
    for key, architecture in { x86_64 = "X86_64", arm64 = "ARM64" } : key => {
      platform                        = "FARGATE"
      properties = merge(
        local.container,
        {
          resourceRequirements         = local.small
          runtimePlatform              = { operatingSystemFamily = "LINUX", cpuArchitecture = architecture }
          networkConfiguration         = { assignPublicIp = local.private ? "DISABLED" : "ENABLED" }
          fargatePlatformConfiguration = { platformVersion = "1.4.0" }
        },
        var.ephemeral_storage_gib > 20 ? { ephemeralStorage = { sizeInGiB = var.ephemeral_storage_gib } } : {},
      )
    }
  }

  on_instances = {
    for key in keys(local.instances) : key => {
      platform = "EC2"
      properties = merge(local.container, {
        resourceRequirements = concat(local.small, key == "gpu" ? [{ type = "GPU", value = "1" }] : [])
      })
    }
  }

  # Encoded one by one: the two shapes have no type in common.
  definitions = merge(
    { for key, made in local.on_fargate : key => { platform = made.platform, properties = jsonencode(made.properties) } },
    { for key, made in local.on_instances : key => { platform = made.platform, properties = jsonencode(made.properties) } },
  )
}

resource "aws_batch_job_definition" "this" {
  for_each = local.definitions

  name                  = "${var.name}-${each.key}"
  type                  = "container"
  platform_capabilities = [each.value.platform]
  container_properties  = each.value.properties
  propagate_tags        = true
  tags                  = local.tags

  timeout {
    attempt_duration_seconds = var.job_timeout_s
  }

  # What nothing matches is tried again: the last line ends everything but a lost host.
  retry_strategy {
    attempts = 2
    evaluate_on_exit {
      action           = "RETRY"
      on_status_reason = "Host EC2*"
    }
    evaluate_on_exit {
      action           = "RETRY"
      on_status_reason = "Your Spot Task*"
    }
    evaluate_on_exit {
      action    = "EXIT"
      on_reason = "*"
    }
  }

  lifecycle {
    precondition {
      condition     = !local.private || var.nat_gateway || local.ecr_parts == null || try(local.ecr_parts[1] == local.region, false)
      error_message = "image lies in another region, which private without nat_gateway cannot reach: copy it to ECR in ${local.region}, or set nat_gateway = true."
    }
  }
}
