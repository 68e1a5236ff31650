# Only for the EC2 and GPU queues. Jobs on an instance share its network, and with it the addresses
# that hand out credentials: the instance's own, and those of every task. Only root may reach them,
# which the worker is and its commands are not.

resource "aws_launch_template" "instance" {
  count = local.on_ec2 ? 1 : 0

  name_prefix            = "${var.name}-"
  description            = "Instances of ${var.name}"
  update_default_version = true
  tags                   = local.tags

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      encrypted             = true
      delete_on_termination = true
      volume_type           = "gp3"
      volume_size           = 30 + var.ephemeral_storage_gib # the image of the system wants 30
    }
  }

  # Batch adds its own part, so this has to be MIME.
  user_data = base64encode(<<-MIME
    MIME-Version: 1.0
    Content-Type: multipart/mixed; boundary="=="

    --==
    Content-Type: text/cloud-boothook; charset="us-ascii"

    #!/bin/bash
    set -eu
    keep_from_jobs() { "$1" -w -t mangle -C OUTPUT "$${@:2}" 2>/dev/null || "$1" -w -t mangle -I OUTPUT "$${@:2}"; }
    for address in 169.254.169.254 169.254.170.0/24; do
      keep_from_jobs iptables -d "$address" -m owner ! --uid-owner 0 -j DROP
    done
    for program in iptables ip6tables; do
      keep_from_jobs "$program" -p tcp --dport 51678:51680 -m owner ! --uid-owner 0 -j DROP
    done

    --==--
  MIME
  )
}

resource "aws_iam_role" "instance" {
  count = local.on_ec2 ? 1 : 0

  name                 = "${var.name}-instance-${local.region}"
  description          = "EC2 instances of the queues: the agent of ECS, nothing else"
  assume_role_policy   = data.aws_iam_policy_document.assume_instance.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_instance_profile" "instance" {
  count = local.on_ec2 ? 1 : 0

  name = aws_iam_role.instance[0].name
  role = aws_iam_role.instance[0].name
  tags = local.tags
}

resource "aws_iam_role_policy" "instance" {
  count = local.on_ec2 ? 1 : 0

  name   = "agent"
  role   = aws_iam_role.instance[0].id
  policy = data.aws_iam_policy_document.instance.json
}

data "aws_iam_policy_document" "assume_instance" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ec2.${local.suffix}"]
    }
  }
}

data "aws_iam_policy_document" "instance" {
  source_policy_documents = [data.aws_iam_policy_document.execution.json] # the instance pulls and logs

  statement {
    sid       = "FindTheCluster"
    actions   = ["ecs:DiscoverPollEndpoint"]
    resources = ["*"] # knows no resources
  }
  statement {
    sid       = "JoinTheCluster"
    actions   = ["ecs:RegisterContainerInstance", "ecs:DeregisterContainerInstance", "ecs:SubmitContainerStateChange", "ecs:SubmitTaskStateChange", "ecs:SubmitAttachmentStateChanges"]
    resources = ["arn:${local.partition}:ecs:${local.region}:${local.account}:cluster/*"] # Batch names it
  }
  statement {
    sid       = "Work"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState", "ecs:TagResource"]
    resources = ["arn:${local.partition}:ecs:${local.region}:${local.account}:container-instance/*"]
  }
}
