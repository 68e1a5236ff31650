"""What a sandbox is asked for and what it says it did: levels, limits, confinement, record."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

JOB_UID = 62_000
"""Host user of sandboxed commands when the server is root; in systemd's dynamic range, so that no
account of a person has it and it owns nothing else."""
TREE = "/workspace"
"""Where commands find the job's tree."""


class IsolationLevel(StrEnum):
    """How strongly a command is confined, strongest first.

    `full`: own user, pid, mount, network and ipc namespaces, seccomp, empty root (bubblewrap).
    `container`: another uid, no_new_privs and seccomp inside a container.
    `soft`: a policy without namespaces or hard limits (macOS seatbelt).
    """

    FULL = "full"
    CONTAINER = "container"
    SOFT = "soft"

    def satisfies(self, wanted: IsolationLevel) -> bool:
        """Whether this level is at least as strong as `wanted`."""
        order = list(IsolationLevel)
        return order.index(self) <= order.index(wanted)


class Network(StrEnum):
    """What a confined command can reach."""

    NONE = "none"
    """Its own loopback and nothing else; not even that where the probe says so."""
    HOST = "host"
    """The host's network: the set-up phase only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may use. All are enforced; which of them by the kernel is in the record."""

    timeout_s: int = 1_800
    """Wall clock of the run phase."""
    setup_timeout_s: int = 900
    memory_mib: int = 4_096
    processes: int = 512
    disk_mib: int = 8_192
    """Growth of the workspace and temporary files on disk."""
    tmp_mib: int = 512
    """Size of each private tmpfs (/tmp, /dev/shm, home)."""
    open_files: int = 4_096
    log_bytes: int = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """A host path shown inside the sandbox."""

    host: str
    inside: str
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The policy one command runs under. Everything that is not named is absent or denied."""

    binds: tuple[Bind, ...]
    """Mounted in this order after the system's read-only folders."""
    limits: Limits
    network: Network = Network.NONE
    env: tuple[tuple[str, str], ...] = ()
    """Added to the fixed base environment."""
    path: tuple[str, ...] = ()
    """Folders put before the system's in PATH."""
    cwd: str = TREE
    tmpfs: tuple[str, ...] = ()
    """Further paths inside that get a private tmpfs (their mount points must exist)."""


def inside_tree(folder: str) -> str:
    """The path inside of a folder of the job's tree; empty: of its top."""
    return f"{TREE}/{folder}" if folder else TREE


class Enforcement(StrEnum):
    """How a limit is held."""

    HARD = "hard"
    POLLED = "polled"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsolationRecord:
    """What was really in force, as probed and applied; part of every result."""

    level: IsolationLevel
    driver: str
    """Program and version, e.g. `bubblewrap 0.8.0`."""
    run_network: Network
    setup_network: Network | None = None
    """None when no set-up ran for this job (nothing to do, or cached)."""
    limits: tuple[tuple[str, Enforcement], ...] = ()
    notes: tuple[str, ...] = field(default=())
    loopback: bool = True
    """Whether the run phase has localhost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Whether a sandbox really starts here.

    When it does not, `problem` is what was seen and `remedy` what a person can do about it.
    """

    level: IsolationLevel
    driver: str
    works: bool
    limits: tuple[tuple[str, Enforcement], ...] = ()
    problem: str = ""
    remedy: str = ""
    notes: tuple[str, ...] = ()
    """What a person should know of this isolation; part of every result."""
    loopback: bool = True
    """Whether a command without network has localhost."""
