"""From what a failed start of the sandbox said to what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

APPARMOR_PROFILE = """\
write this to /etc/apparmor.d/bwrap, then run: sudo apparmor_parser -r /etc/apparmor.d/bwrap
  abi <abi/4.0>,
  include <tunables/global>
  profile bwrap /usr/bin/bwrap flags=(unconfined) {
    userns,
  }"""
NEEDED = "0.8.0"
"""The first bubblewrap with --disable-userns."""
_INSTALL = "Install bubblewrap: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap."
_CONTAINER = (
    "This looks like a container that forbids namespaces. Run the server outside of it, or start "
    "the container with --security-opt seccomp=unconfined."
)
_TOO_OLD = ("unknown option", "unrecognized option")
_USERNS = ("setting up uid map: permission denied", "failed rtm_newaddr")
_FORBIDDEN = ("creating new namespace failed", "no permissions to creat")
_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_DEBIAN = "/proc/sys/kernel/unprivileged_userns_clone"
_NAMESPACES = "/proc/sys/user/max_user_namespaces"


def setting(path: str) -> str:
    """Value of a kernel setting; empty where the kernel has none of this name."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return ""


def remedy(said: str, driver: str = "bubblewrap", kernel: Callable[[str], str] = setting) -> str:
    """What to do, in words that can be followed to the letter.

    Args:
        said: the error text of the program.
        driver: the program and its version, as it tells them.
        kernel: value of a file below /proc/sys.
    """
    text = said.lower()
    if "not installed" in text:
        return _INSTALL
    if any(mark in text for mark in _TOO_OLD):
        return f"This is {driver}, which is too old: install bubblewrap {NEEDED} or newer."
    if any(mark in text for mark in _USERNS) and kernel(_APPARMOR) == "1":
        return f"AppArmor forbids user namespaces here: {APPARMOR_PROFILE}"
    if kernel(_DEBIAN) == "0":
        return "Allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1"
    if kernel(_NAMESPACES) == "0":
        return "Allow user namespaces: sudo sysctl user.max_user_namespaces=10000"
    if any(mark in text for mark in _FORBIDDEN):
        return _CONTAINER
    if "prlimit" in text:
        return "Install util-linux: its program /usr/bin/prlimit sets the limits inside."
    return f"Run `bwrap --unshare-user --ro-bind / / true` to see more. {_INSTALL}"
