# A backstop: AWS counts some hours late. What stops spending is the server's reservation, the
# timeout of each job and max_vcpus.

locals {
  budget_warnings = {
    half     = { percent = 50, type = "ACTUAL" }
    most     = { percent = 80, type = "ACTUAL" }
    all      = { percent = 100, type = "ACTUAL" }
    forecast = { percent = 100, type = "FORECASTED" }
  }
}

resource "aws_budgets_budget" "monthly" {
  count = var.monthly_budget_usd == null ? 0 : 1

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = local.tags

  dynamic "cost_filter" {
    for_each = var.budget_by_tag ? [1] : []
    content {
      name   = "TagKeyValue"
      values = [format("user:mcp-cloud-agents$%s", var.name)]
    }
  }

  dynamic "notification" {
    for_each = local.budget_warnings
    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      notification_type          = notification.value.type
      subscriber_email_addresses = var.budget_emails
    }
  }
}
