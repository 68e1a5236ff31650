"""The weekday and time that policies see."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from mcp_cloud_agents.telemetry.local_time import local_time

THURSDAY_NIGHT = 86_400.0 - 600  # 1 January 1970, 23:50 UTC


def a_zone(folder: Path, hours: int) -> str:
    """A file as /etc/localtime (RFC 9636, version 1) with one offset."""
    path = folder / "localtime"
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    path.write_bytes(
        b"TZif" + bytes(16) + counts + struct.pack(">lBB", hours * 3600, 0, 0) + b"XYZ\0"
    )
    return str(path)


def test_the_time_is_that_of_the_machines_zone(tmp_path: Path) -> None:
    assert local_time(THURSDAY_NIGHT, zone_file=a_zone(tmp_path, 1)) == "fri 00:50"
    assert local_time(THURSDAY_NIGHT, zone_file=a_zone(tmp_path, -8)) == "thu 15:50"


@pytest.mark.parametrize("content", [None, b"", b"no zone"])
def test_a_machine_without_a_zone_counts_in_utc(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "localtime"
    if content is not None:
        path.write_bytes(content)
    assert local_time(THURSDAY_NIGHT, zone_file=str(path)) == "thu 23:50"
