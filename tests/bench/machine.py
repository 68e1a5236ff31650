"""Where and when a measurement was made: part of every table."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path


def machine() -> str:
    """One line that says what the figures depend on."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, "
        f"{_distribution()}, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, {_version('git', 'version')}, "
        f"{_version('bwrap', '--version')}, "
        f"{'root (jobs as another user)' if os.geteuid() == 0 else 'an ordinary user'}"
    )


def moment() -> str:
    """Date, and the load average of the last minute."""
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}"


def resident_mib(pid: int) -> float:
    """Resident memory of a process (proc(5), VmRSS)."""
    return _status_kib(pid, "VmRSS") / 1_024


def peak_mib(pid: int) -> float:
    """Most memory it ever had resident (proc(5), VmHWM)."""
    return _status_kib(pid, "VmHWM") / 1_024


def _status_kib(pid: int, key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found, f"no {key} for {pid}"
    return int(found[1])


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
