"""The macOS driver's pure half: profile, command line, environment. It was not run on macOS."""

from __future__ import annotations

import subprocess

import pytest

from mcp_cloud_agents.domain.errors import InvalidArgument
from mcp_cloud_agents.domain.sandbox import Bind, Confinement, Limits, Network
from mcp_cloud_agents.sandbox.seatbelt import PROGRAM, command_line, environment, translated
from mcp_cloud_agents.sandbox.seatbelt_profile import seatbelt_profile

TREE = Bind(host="/private/j/tree", inside="/workspace", writable=True)
KEPT = Bind(host="/private/j/tree/kept", inside="/workspace/kept")
ENV = Bind(host="/private/j/env", inside="/env")
BINDS = (TREE, KEPT, ENV)
WRITABLE = '(subpath "/private/j/tree") (subpath "/private/tmp/mca-1")'


def lines(network: Network) -> list[str]:
    return seatbelt_profile(BINDS, network, temporary="/private/tmp/mca-1").splitlines()


def test_everything_is_denied_that_is_not_named() -> None:
    profile = lines(Network.NONE)
    assert profile[:2] == ["(version 1)", "(deny default)"]
    assert [line for line in profile if line.startswith("(allow file-write*")] == [
        '(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/random") '
        '(literal "/dev/urandom") (literal "/dev/tty"))',
        f"(allow file-write* {WRITABLE})",
    ]


def test_what_is_read_only_below_a_writable_folder_stays_so() -> None:
    profile = lines(Network.NONE)
    after = profile.index(f"(allow file-write* {WRITABLE})") + 1
    assert profile[after : after + 2] == [
        '(deny file-write* (subpath "/private/j/tree/kept"))',
        '(deny file-write-unlink (subpath "/private/j/tree/kept"))',
    ]


def test_without_network_only_this_machine_is_reached() -> None:
    assert lines(Network.NONE)[-6:] == [
        "(allow system-socket (socket-domain AF_UNIX))",
        f"(allow network-bind {WRITABLE})",
        f"(allow network-outbound {WRITABLE})",
        '(allow network-bind (local ip "*:*"))',
        '(allow network-inbound (local ip "*:*"))',
        '(allow network-outbound (remote ip "localhost:*"))',
    ]


def test_the_host_s_network_adds_rules_at_the_end() -> None:
    none, host = lines(Network.NONE), lines(Network.HOST)
    assert host[: len(none)] == none
    assert host[len(none) :] == [
        '(allow network-outbound (remote ip "*:*"))',
        '(allow network-outbound (literal "/private/var/run/mDNSResponder"))',
        "(allow system-socket)",
    ]


def test_a_path_cannot_close_its_literal() -> None:
    evil = Bind(host='/x") (allow default) ("', inside="/workspace", writable=True)
    profile = seatbelt_profile((evil,), Network.NONE, temporary="/t")
    assert '(subpath "/x\\") (allow default) (\\"")' in profile


@pytest.mark.parametrize("host", ["/" + "x" * 1_025, "/a\0b"])
def test_a_path_that_would_spoil_the_profile_is_refused(host: str) -> None:
    bind = Bind(host=host, inside="/workspace")
    with pytest.raises(InvalidArgument):
        seatbelt_profile((bind,), Network.NONE, temporary="/t")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/workspace", "/private/j/tree"),
        ("/workspace/kept/x", "/private/j/tree/kept/x"),
        ("/workspaces", "/workspaces"),
        ("cd /workspace", "cd /workspace"),
        ("/env/bin", "/private/j/env/bin"),
    ],
)
def test_inside_paths_become_host_paths(word: str, expected: str) -> None:
    assert translated(word, BINDS) == expected


def test_the_environment_is_a_fixed_base_with_its_own_folders() -> None:
    confinement = Confinement(
        binds=BINDS, limits=Limits(), env=(("VIRTUAL_ENV", "/env/venv"),), path=("/env/bin",)
    )
    assert environment(confinement, "/private/tmp/mca-1") == {
        "PATH": "/private/j/env/bin:/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/private/tmp/mca-1",
        "TMPDIR": "/private/tmp/mca-1",
        "LANG": "en_US.UTF-8",
        "TERM": "dumb",
        "USER": "agent",
        "CI": "1",
        "NO_COLOR": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "VIRTUAL_ENV": "/private/j/env/venv",
    }


def test_the_command_runs_behind_its_profile_and_limits() -> None:
    confinement = Confinement(binds=(), limits=Limits(open_files=100))
    command = command_line(["pytest", "-q"], confinement, temporary="/t", told=12)
    assert command[0:2] == [PROGRAM, "-p"]
    assert command[2].startswith("(version 1)\n(deny default)\n")
    assert command[3:5] == ["/bin/sh", "-c"]
    assert command[6:] == ["sh", "12", "100", "pytest", "-q"]


def test_the_shell_before_the_command_tells_of_its_start_and_sets_limits() -> None:
    confinement = Confinement(binds=(), limits=Limits(open_files=100))
    script = 'ulimit -n; ulimit -c; echo "$0" "$@"'
    words = command_line(["/bin/sh", "-c", script, "a b"], confinement, temporary="/t", told=2)
    done = subprocess.run(words[3:], capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"100\n0\na b\n", b".")
