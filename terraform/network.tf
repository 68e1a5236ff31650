locals {
  zones = slice(
    data.aws_availability_zones.available.names, 0,
    min(var.zones, length(data.aws_availability_zones.available.names)),
  )

  # Fargate pulls its image and ships its log through the task's own interface; the EC2 agent needs more.
  endpoint_services = local.private ? toset(concat(
    ["ecr.api", "ecr.dkr", "logs"],
    local.on_ec2 ? ["ecs", "ecs-agent", "ecs-telemetry"] : [],
    local.has_bedrock ? ["bedrock-runtime"] : [],
    var.interface_endpoints,
  )) : toset([])
}

resource "aws_vpc" "this" {
  cidr_block           = var.vpc_cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = "${var.name}-unused" })
}

resource "aws_subnet" "jobs" {
  for_each = { for index, zone in local.zones : zone => index }

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.vpc_cidr, 3, each.value)

  # Fargate asks for an address by job definition; EC2 instances only get one from their subnet.
  map_public_ip_on_launch = !local.private && local.on_ec2

  tags = merge(local.tags, { Name = "${var.name}-jobs-${each.key}" })
}

resource "aws_route_table" "jobs" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = "${var.name}-jobs" })
}

resource "aws_route_table_association" "jobs" {
  for_each = aws_subnet.jobs

  subnet_id      = each.value.id
  route_table_id = aws_route_table.jobs.id
}

resource "aws_internet_gateway" "this" {
  count = local.internet ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_route" "internet" {
  count = local.private ? 0 : 1

  route_table_id         = aws_route_table.jobs.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

# Gateway endpoints cost nothing and keep bucket traffic off the internet in both profiles.

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.jobs.id]
  policy            = local.private ? data.aws_iam_policy_document.s3_endpoint.json : null
  tags              = merge(local.tags, { Name = "${var.name}-s3" })
}

resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.region}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.jobs.id]
  policy            = local.private ? data.aws_iam_policy_document.own_account["dynamodb"].json : null
  tags              = merge(local.tags, { Name = "${var.name}-dynamodb" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.endpoint_services

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [for subnet in aws_subnet.jobs : subnet.id]
  security_group_ids  = [aws_security_group.endpoints[0].id]
  policy              = try(data.aws_iam_policy_document.own_account[split(".", each.key)[0]].json, null)
  tags                = merge(local.tags, { Name = "${var.name}-${each.key}" })
}

# In private, a job that brings credentials of its own can still not carry data to a foreign account:
# endpoints serve principals of this account only, and only for what jobs need.

locals {
  secret_services = toset(concat(keys(local.secret_allows), keys(local.readable_allows)))
  all_secret_allows = {
    for service in local.secret_services : service => concat(lookup(local.secret_allows, service, []), lookup(local.readable_allows, service, []))
  }
  endpoint_allows = merge(local.all_secret_allows, local.has_bedrock ? { bedrock-runtime = [local.bedrock_allows] } : {}, {
    dynamodb = [{
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Query", "dynamodb:ConditionCheckItem"]
      resources = ["arn:${local.partition}:dynamodb:${local.region}:${local.account}:table/*"]
    }]
    ecr = concat(
      [{ actions = ["ecr:GetAuthorizationToken"], resources = ["*"] }], # knows no resources
      local.from_ecr ? [{
        actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        resources = [local.repository_arn]
      }] : [],
    )
    logs = [{
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${aws_cloudwatch_log_group.jobs.arn}:log-stream:*"]
    }]
  })
}

data "aws_iam_policy_document" "own_account" {
  for_each = local.endpoint_allows

  dynamic "statement" {
    for_each = each.value
    content {
      actions   = statement.value.actions
      resources = statement.value.resources
      principals {
        type        = "*"
        identifiers = ["*"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [local.account]
      }
    }
  }
}

data "aws_iam_policy_document" "s3_endpoint" {
  statement {
    sid       = "OwnBucket"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
  statement {
    sid       = "LayersOfImages" # ECR hands out layers from a bucket of its own
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::prod-${local.region}-starport-layer-bucket/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
}
