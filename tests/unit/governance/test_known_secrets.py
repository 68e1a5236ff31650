"""What a process resolved shows neither in its log nor in its errors, and is not held for ever."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from mcp_cloud_agents.governance.known_secrets import KnownSecrets
from mcp_cloud_agents.telemetry.logs import redact_logs


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    text, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [logging.StreamHandler(text)]
    yield text
    root.handlers[:] = before


def test_a_logged_error_does_not_show_a_resolved_value(log: io.StringIO) -> None:
    known = KnownSecrets()
    redact_logs(known.known)
    value = "-".join(["hunter2"] * 2)
    known.remember([value])
    try:
        int(value)
    except ValueError:
        logging.getLogger("x").exception("failed with %s", value)
    assert "hunter2" not in log.getvalue()
    assert log.getvalue().count("[redacted]") == 2


def test_the_oldest_values_are_forgotten() -> None:
    known = KnownSecrets()
    known.remember(f"value-{number:04}-end" for number in range(300))
    assert known.known("value-0000-end value-0299-end") == "value-0000-end [redacted]"
