# Nothing comes in anywhere: jobs have no ingress rule, and endpoints hear only jobs.
# Outward rules are one resource each: to the internet where there is a way, else to the endpoints.

resource "aws_security_group" "jobs" {
  name_prefix = "${var.name}-jobs-"
  description = "Jobs: nothing inbound"
  vpc_id      = aws_vpc.this.id
  tags        = merge(local.tags, { Name = "${var.name}-jobs" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = local.internet ? toset([for port in var.egress_ports : tostring(port)]) : toset([])

  security_group_id = aws_security_group.jobs.id
  description       = "Internet, for set-up and the image"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = tonumber(each.key)
  to_port           = tonumber(each.key)
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "endpoints" {
  count = local.private ? 1 : 0

  security_group_id            = aws_security_group.jobs.id
  description                  = "Interface endpoints"
  referenced_security_group_id = aws_security_group.endpoints[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = local.tags
}

# A gateway endpoint is a route: traffic to it has to be let out of the security group as well.
# Not to DynamoDB's: jobs have no business there.
resource "aws_vpc_security_group_egress_rule" "s3" {
  count = local.private ? 1 : 0

  security_group_id = aws_security_group.jobs.id
  description       = "Gateway endpoint of S3"
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = local.tags
}

resource "aws_security_group" "endpoints" {
  count = local.private ? 1 : 0

  name_prefix = "${var.name}-endpoints-"
  description = "Interface endpoints: HTTPS from jobs"
  vpc_id      = aws_vpc.this.id
  tags        = merge(local.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = local.private ? 1 : 0

  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "HTTPS from jobs"
  referenced_security_group_id = aws_security_group.jobs.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = local.tags
}
