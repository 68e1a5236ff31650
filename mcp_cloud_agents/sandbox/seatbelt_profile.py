"""From a confinement to a seatbelt profile (SBPL), the policy language of macOS. Pure.

Deny by default. Written from the rules of Apple's own profiles and of other sandboxes that use
them; not run on macOS. There is no mount namespace: `inside` paths do not exist, a bind's host path
is what is allowed, and the caller resolves it first (/tmp and /var are links into /private).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.sandbox import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.sandbox import Bind

_MAX_LITERAL_BYTES = 1_025
"""A longer string invalidates the whole profile."""
_READABLE = (
    *("/usr", "/bin", "/sbin", "/System", "/Library", "/opt", "/Applications/Xcode.app"),
    *("/private/etc/ssl", "/private/etc/localtime", "/private/etc/protocols"),
    *("/private/etc/services", "/private/var/db/timezone", "/private/var/select"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/tty")
_MACH_SERVICES = (
    *("com.apple.system.logger", "com.apple.system.notification_center"),
    *("com.apple.system.opendirectoryd.libinfo", "com.apple.system.opendirectoryd.membership"),
    *("com.apple.bsd.dirhelper", "com.apple.trustd.agent", "com.apple.SecurityServer"),
)
_SYSCTLS = (
    *("hw.activecpu", "hw.byteorder", "hw.cacheconfig", "hw.cachelinesize", "hw.cpufamily"),
    *("hw.cputype", "hw.logicalcpu", "hw.machine", "hw.memsize", "hw.model", "hw.ncpu"),
    *("hw.pagesize", "hw.physicalcpu", "kern.argmax", "kern.hostname", "kern.maxfilesperproc"),
    *("kern.osproductversion", "kern.osrelease", "kern.ostype", "kern.osversion"),
    *("kern.usrstack64", "kern.version", "machdep.cpu.brand_string", "sysctl.proc_cputype"),
)
_ALWAYS = """\
(version 1)
(deny default)
(allow process-exec)
(allow process-fork)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow ipc-posix-sem)
(allow ipc-posix-shm)
(allow file-read-metadata)"""
_LOOPBACK = """\
(allow network-bind (local ip "*:*"))
(allow network-inbound (local ip "*:*"))
(allow network-outbound (remote ip "localhost:*"))"""
"""No `(local ip …)` on outbound: it would admit every connection."""
_HOST = """\
(allow network-outbound (remote ip "*:*"))
(allow network-outbound (literal "/private/var/run/mDNSResponder"))
(allow system-socket)"""


def seatbelt_profile(binds: Sequence[Bind], network: Network, *, temporary: str) -> str:
    """The profile of one command.

    Args:
        binds: resolved host paths, readable or writable.
        network: NONE leaves connections to this machine itself, which tests open.
        temporary: resolved path of the command's own folder for temporary files, writable.

    Raises:
        InvalidArgument: a path is too long for a profile.
    """
    writable = [*(bind.host for bind in binds if bind.writable), temporary]
    readable = [*_READABLE, *(bind.host for bind in binds), temporary]
    return "\n".join(
        (
            _ALWAYS,
            _rule("mach-lookup", "global-name", _MACH_SERVICES),
            _rule("sysctl-read", "sysctl-name", _SYSCTLS),
            _rule("file-ioctl", "literal", _DEVICES),
            _rule("file-write*", "literal", _DEVICES),
            '(allow file-read* (literal "/"))',
            _rule("file-read*", "subpath", readable),
            _rule("file-write*", "subpath", writable),
            # The last match wins: what is bound read-only below a writable folder stays so.
            *_kept(binds),
            *_unix_sockets(writable),
            _LOOPBACK,
            *((_HOST,) if network is Network.HOST else ()),
        )
    )


def _kept(binds: Sequence[Bind]) -> list[str]:
    """`file-write-unlink` belongs to it: else a file is renamed away and written anew."""
    rules: list[str] = []
    for index, bind in enumerate(binds):
        above = [other.host for other in binds[:index] if other.writable]
        if not bind.writable and any(_is_below(bind.host, path) for path in above):
            rules.append(_rule("file-write*", "subpath", [bind.host], allow=False))
            rules.append(_rule("file-write-unlink", "subpath", [bind.host], allow=False))
    return rules


def _unix_sockets(folders: Sequence[str]) -> list[str]:
    """Python's multiprocessing and pytest-xdist need them; three rules for one thing."""
    return [
        "(allow system-socket (socket-domain AF_UNIX))",
        _rule("network-bind", "subpath", folders),
        _rule("network-outbound", "subpath", folders),
    ]


def _rule(action: str, kind: str, values: Sequence[str], *, allow: bool = True) -> str:
    filters = " ".join(f"({kind} {_literal(value)})" for value in values)
    return f"({'allow' if allow else 'deny'} {action} {filters})"


def _literal(text: str) -> str:
    literal = json.dumps(text, ensure_ascii=False)
    if len(literal.encode("utf-8", "surrogateescape")) > _MAX_LITERAL_BYTES or "\0" in text:
        raise InvalidArgument(
            f"The path {text[:80]!r} cannot stand in a sandbox profile.",
            hint="Use a shorter path.",
        )
    return literal


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
