# The table that several machines count their money in: docs/costs.md. One key, pk; no index.

resource "aws_dynamodb_table" "team" {
  count = var.team_budget ? 1 : 0

  name         = "${var.name}-team"
  billing_mode = "PAY_PER_REQUEST" # $0 while nobody asks
  hash_key     = "pk"
  tags         = local.tags

  # Who loses the table loses what was spent: destroy needs the same word as for the bucket.
  deletion_protection_enabled = !var.force_destroy

  attribute {
    name = "pk"
    type = "S"
  }

  # Reservations that ended go after 400 days; open ones and limits have no such attribute.
  ttl {
    attribute_name = "remove_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # DynamoDB encrypts each table; enabled = true would only name the key of KMS, billed by the call.
  server_side_encryption {
    enabled = false
  }
}
