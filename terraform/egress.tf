# The way out of private (optional, costs while idle), and the names that may be resolved.
# A DNS firewall stops names, also those that would carry data in a query. It does not stop an
# address written as a number: in private without NAT there is no way to one.

resource "aws_subnet" "nat" {
  count = var.nat_gateway ? 1 : 0

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[0]
  cidr_block        = cidrsubnet(var.vpc_cidr, 6, 63) # the last of 64; jobs have the first half
  tags              = merge(local.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table" "nat" {
  count = var.nat_gateway ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = merge(local.tags, { Name = "${var.name}-nat" })
}

resource "aws_route_table_association" "nat" {
  count = var.nat_gateway ? 1 : 0

  subnet_id      = aws_subnet.nat[0].id
  route_table_id = aws_route_table.nat[0].id
}

resource "aws_route" "nat_to_internet" {
  count = var.nat_gateway ? 1 : 0

  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_eip" "nat" {
  count = var.nat_gateway ? 1 : 0

  domain = "vpc"
  tags   = merge(local.tags, { Name = "${var.name}-nat" })

  depends_on = [aws_internet_gateway.this]
}

# One for all zones: half the price of one a zone, and out of order when its zone is.
resource "aws_nat_gateway" "this" {
  count = var.nat_gateway ? 1 : 0

  allocation_id = aws_eip.nat[0].allocation_id
  subnet_id     = aws_subnet.nat[0].id
  tags          = merge(local.tags, { Name = var.name })

  depends_on = [aws_route.nat_to_internet]
}

resource "aws_route" "jobs_to_nat" {
  count = var.nat_gateway ? 1 : 0

  route_table_id         = aws_route_table.jobs.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[0].id
}

locals {
  dns_firewall = (local.private || length(var.dns_allowlist) > 0) && !contains(var.dns_allowlist, "*")

  # Exact names: a whole *.<region> would let a job with NAT talk to anybody's API gateway.
  service_names = concat(
    ["api.ecr", "*.dkr.ecr", "logs", "s3", "*.s3", "dynamodb"],
    [for service in setsubtract(local.endpoint_services, ["ecr.api", "ecr.dkr", "logs", "ecs-agent", "ecs-telemetry"]) : service],
    !local.private && local.on_ec2 ? ["ecs"] : [],
    tolist(local.secret_services),
    local.has_bedrock ? ["bedrock-runtime"] : [],
    # The agent is told one of several numbered hosts, and a star may only stand in front.
    local.on_ec2 ? flatten([for number in range(1, 21) : ["ecs-a-${number}", "ecs-t-${number}"]]) : [],
  )

  allowed_names = distinct(concat(
    [for service in local.service_names : "${service}.${local.region}.${local.suffix}"],
    local.region == "us-east-1" ? ["s3.${local.suffix}", "*.s3.${local.suffix}"] : [], # its old, still used names
    var.image == null ? [] : [split(":", split("/", var.image)[0])[0]],
    var.dns_allowlist,
  ))
}

resource "aws_route53_resolver_firewall_domain_list" "allowed" {
  count = local.dns_firewall ? 1 : 0

  name    = "${var.name}-allowed"
  domains = local.allowed_names
  tags    = local.tags
}

resource "aws_route53_resolver_firewall_domain_list" "all" {
  count = local.dns_firewall ? 1 : 0

  name    = "${var.name}-all"
  domains = ["*"]
  tags    = local.tags
}

resource "aws_route53_resolver_firewall_rule_group" "this" {
  count = local.dns_firewall ? 1 : 0

  name = var.name
  tags = local.tags
}

resource "aws_route53_resolver_firewall_rule" "allowed" {
  count = local.dns_firewall ? 1 : 0

  name                               = "allowed"
  action                             = "ALLOW"
  priority                           = 100
  firewall_rule_group_id             = aws_route53_resolver_firewall_rule_group.this[0].id
  firewall_domain_list_id            = aws_route53_resolver_firewall_domain_list.allowed[0].id
  firewall_domain_redirection_action = "TRUST_REDIRECTION_DOMAIN" # an allowed name may point to a CDN's
}

resource "aws_route53_resolver_firewall_rule" "rest" {
  count = local.dns_firewall ? 1 : 0

  name                    = "rest"
  action                  = "BLOCK"
  block_response          = "NXDOMAIN"
  priority                = 200
  firewall_rule_group_id  = aws_route53_resolver_firewall_rule_group.this[0].id
  firewall_domain_list_id = aws_route53_resolver_firewall_domain_list.all[0].id
}

resource "aws_route53_resolver_firewall_rule_group_association" "this" {
  count = local.dns_firewall ? 1 : 0

  name                   = var.name
  firewall_rule_group_id = aws_route53_resolver_firewall_rule_group.this[0].id
  vpc_id                 = aws_vpc.this.id
  priority               = 101 # 100 and below are kept for AWS Firewall Manager
  tags                   = local.tags

  depends_on = [aws_route53_resolver_firewall_rule.allowed] # never the block without the names
}

resource "aws_route53_resolver_firewall_config" "closed" {
  count = local.dns_firewall ? 1 : 0

  resource_id        = aws_vpc.this.id
  firewall_fail_open = "DISABLED"
}
