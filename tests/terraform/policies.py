"""IAM policies out of an applied state, in a shape that a person can compare."""

from __future__ import annotations

import json
from typing import Any

from tests.terraform.offline import Resources

ACCOUNT = "123456789012"
BUCKET = f"arn:aws:s3:::mcp-cloud-agents-{ACCOUNT}-us-east-1"
LOGS = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:/mcp-cloud-agents/jobs"
BATCH = f"arn:aws:batch:us-east-1:{ACCOUNT}"


def policy_texts(resources: Resources) -> dict[str, str]:
    """Address to text of every policy but the trust policies of roles."""
    return {
        address: text
        for address, values in resources.values.items()
        if isinstance(text := values.get("policy"), str) and '"Statement"' in text
    }


def statements(text: str) -> dict[str, dict[str, Any]]:
    """Sid to the rest of the statement; actions and resources as sorted lists."""
    return {
        one.pop("Sid"): {
            key: sorted([value] if isinstance(value, str) else value)
            if key in {"Action", "Resource"}
            else value
            for key, value in one.items()
        }
        for one in json.loads(text)["Statement"]
    }


def allow(actions: list[str], resources: list[str], **condition: Any) -> dict[str, Any]:
    """A statement as `statements` gives it."""
    said = {"Effect": "Allow", "Action": sorted(actions), "Resource": sorted(resources)}
    return said | ({"Condition": condition} if condition else {})
