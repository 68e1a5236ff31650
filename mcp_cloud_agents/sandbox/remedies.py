"""From what a failed start of the sandbox said to what a person can do about it."""

from __future__ import annotations

APPARMOR_PROFILE = """\
write this to /etc/apparmor.d/bwrap, then run: sudo apparmor_parser -r /etc/apparmor.d/bwrap
  abi <abi/4.0>,
  include <tunables/global>
  profile bwrap /usr/bin/bwrap flags=(unconfined) {
    userns,
  }"""
_INSTALL = "Install bubblewrap: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap."
_USERNS = ("setting up uid map: Permission denied", "Failed RTM_NEWADDR")
_FORBIDDEN = ("Creating new namespace failed", "No permissions to create")


def remedy(said: str) -> str:
    """What to do, in words that can be followed to the letter.

    Args:
        said: the error text of the program.
    """
    if "not installed" in said:
        return _INSTALL
    if "Unknown option" in said or "unrecognized option" in said:
        return "This bubblewrap is too old: version 0.8.0 or newer is needed (bwrap --version)."
    if any(mark in said for mark in _USERNS) and _setting(_APPARMOR) == "1":
        return f"AppArmor forbids user namespaces here: {APPARMOR_PROFILE}"
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "Allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1"
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "Allow user namespaces: sudo sysctl user.max_user_namespaces=10000"
    if any(mark in said for mark in _FORBIDDEN):
        return (
            "This looks like a container that forbids namespaces. Run the server outside of it, "
            "or start the container with --security-opt seccomp=unconfined."
        )
    if "prlimit" in said:
        return "Install util-linux: its program /usr/bin/prlimit sets the limits inside."
    return f"Run `bwrap --unshare-user --ro-bind / / true` to see more. {_INSTALL}"


_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"


def _setting(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(64).strip()
    except OSError:
        return ""
