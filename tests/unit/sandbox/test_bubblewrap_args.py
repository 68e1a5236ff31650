"""From a confinement to bubblewrap's arguments, compared whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits, Network
from mcp_cloud_agents.sandbox.bubblewrap_args import (
    ETC_ALLOWED,
    Descriptors,
    Host,
    bubblewrap_args,
    limited,
)

CONFINEMENT = Confinement(
    binds=(
        Bind(host="/host/tree", inside="/workspace", writable=True),
        Bind(host="/host/env", inside="/env"),
    ),
    limits=Limits(
        memory_mib=100, processes=50, disk_mib=2, tmp_mib=3, open_files=40, timeout_s=1, log_bytes=1
    ),
    env=(("VIRTUAL_ENV", "/env/venv"), ("CI", "yes")),
    path=("/env/venv/bin",),
    tmpfs=("/workspace/cache",),
)
HOST = Host(system_folders=(("/bin", "usr/bin"), ("/lib64", None)), certificates=True)
FDS = Descriptors(seccomp=11, status=12, etc={"passwd": 13, "hosts": 14})
ETC = " ".join(f"--ro-bind-try /etc/{name} /etc/{name}" for name in ETC_ALLOWED)
EXPECTED = f"""\
--unshare-user --disable-userns --unshare-pid --unshare-ipc --unshare-uts --unshare-cgroup-try
--unshare-net --uid 1000 --gid 1000 --hostname sandbox --die-with-parent --new-session
--cap-drop ALL
--tmpfs / --ro-bind /usr /usr --symlink usr/bin /bin --ro-bind-try /lib64 /lib64
--perms 0755 --dir /etc {ETC}
--perms 0444 --ro-bind-data 13 /etc/passwd --perms 0444 --ro-bind-data 14 /etc/hosts
--proc /proc --perms 0555 --size 4096 --tmpfs /proc/1 --remount-ro /proc/1 --dev /dev
--size 3145728 --tmpfs /dev/shm --size 3145728 --tmpfs /tmp --size 3145728 --tmpfs /home/agent
--bind /host/tree /workspace --ro-bind /host/env /env --size 3145728 --tmpfs /workspace/cache
--dir /var --symlink /tmp /var/tmp --dir /run --remount-ro /dev --remount-ro /
--chdir /workspace
--setenv PATH /env/venv/bin:/usr/local/bin:/usr/bin:/bin
--setenv HOME /home/agent --setenv LANG C.UTF-8 --setenv TERM dumb --setenv TMPDIR /tmp
--setenv USER agent --setenv CI yes --setenv NO_COLOR 1 --setenv GIT_CONFIG_NOSYSTEM 1
--setenv VIRTUAL_ENV /env/venv
--seccomp 11 --json-status-fd 12
"""


def test_the_arguments_are_exactly_these() -> None:
    assert bubblewrap_args(CONFINEMENT, HOST, FDS) == EXPECTED.split()


def test_the_host_s_network_adds_its_certificates_and_nothing_else() -> None:
    expected = EXPECTED.replace("--unshare-net ", "").replace(
        "--setenv VIRTUAL_ENV",
        "--setenv SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt --setenv VIRTUAL_ENV",
    )
    open_network = replace(CONFINEMENT, network=Network.HOST)
    assert bubblewrap_args(open_network, HOST, FDS) == expected.split()


def test_certificates_that_the_host_lacks_are_not_named() -> None:
    host = replace(HOST, certificates=False)
    args = bubblewrap_args(replace(CONFINEMENT, network=Network.HOST), host, FDS)
    assert "SSL_CERT_FILE" not in args


def test_the_command_runs_behind_its_limits() -> None:
    assert limited(("pytest", "-q"), CONFINEMENT) == [
        *("/usr/bin/prlimit", "--nproc=50:50", "--nofile=40:40", "--core=0:0", "--msgqueue=0:0"),
        *("--memlock=65536:65536", "--sigpending=1024:1024", "--fsize=2097152:2097152"),
        *("--", "pytest", "-q"),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"env": (("A", "x\0--bind\0/\0/host"),)},
        {"path": ("/env\0",)},
        {"cwd": "/workspace\0"},
        {"binds": (Bind(host="/host\0/x", inside="/x"),)},
        {"tmpfs": ("/x\0",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_nul_anywhere_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        bubblewrap_args(replace(CONFINEMENT, **changes), HOST, FDS)


def test_a_nul_in_the_command_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        limited(("echo", "a\0b"), CONFINEMENT)
