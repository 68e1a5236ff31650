"""From what a failed start said to what a person can do."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mcp_cloud_agents.sandbox.remedies import APPARMOR_PROFILE, remedy

APPARMOR = {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}
DEBIAN = {"/proc/sys/kernel/unprivileged_userns_clone": "0"}
NONE_LEFT = {"/proc/sys/user/max_user_namespaces": "0"}
INSTALL = "Install bubblewrap: apt install bubblewrap (Debian, Ubuntu), dnf install bubblewrap."


@pytest.mark.parametrize(
    ("said", "kernel", "expected"),
    [
        ("The program bwrap (bubblewrap) is not installed.", {}, INSTALL),
        (
            "bwrap: setting up uid map: Permission denied",
            APPARMOR,
            f"AppArmor forbids user namespaces here: {APPARMOR_PROFILE}",
        ),
        (
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
            APPARMOR,
            f"AppArmor forbids user namespaces here: {APPARMOR_PROFILE}",
        ),
        (
            "bwrap: No permissions to create new namespace",
            DEBIAN,
            "Allow user namespaces: sudo sysctl kernel.unprivileged_userns_clone=1",
        ),
        (
            "bwrap: Creating new namespace failed: No space left on device",
            NONE_LEFT,
            "Allow user namespaces: sudo sysctl user.max_user_namespaces=10000",
        ),
        (
            "bwrap: Creating new namespace failed: Operation not permitted",
            {},
            "This looks like a container that forbids namespaces. Run the server outside of it, "
            "or start the container with --security-opt seccomp=unconfined.",
        ),
        (
            "bwrap: Unknown option --disable-userns",
            {},
            "This is bubblewrap 0.4.0, which is too old: install bubblewrap 0.8.0 or newer.",
        ),
        (
            "bwrap: execvp /usr/bin/prlimit: No such file or directory",
            {},
            "Install util-linux: its program /usr/bin/prlimit sets the limits inside.",
        ),
        (
            "something new",
            {},
            f"Run `bwrap --unshare-user --ro-bind / / true` to see more. {INSTALL}",
        ),
    ],
)
def test_each_failure_has_its_remedy(said: str, kernel: Mapping[str, str], expected: str) -> None:
    assert remedy(said, "bubblewrap 0.4.0", lambda path: kernel.get(path, "")) == expected


def test_the_apparmor_profile_allows_user_namespaces_to_bubblewrap_alone() -> None:
    assert "profile bwrap /usr/bin/bwrap flags=(unconfined) {\n    userns,\n" in APPARMOR_PROFILE
