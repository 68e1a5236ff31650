"""Where control groups go and what is written there."""

from __future__ import annotations

from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.sandbox.cgroup import Cgroup, Part, plan

LIMITS = Limits(memory_mib=64, processes=100)


def test_version_1_gets_a_child_in_both_hierarchies() -> None:
    membership = "9:name=systemd:/\n8:pids:/\n4:memory:/box/a\n1:cpu,cpuacct:/\n0::/\n"
    assert plan(membership, LIMITS) == (
        Part(
            parent="/sys/fs/cgroup/memory/box/a",
            settings=(("memory.limit_in_bytes", "67108864"),),
            optional=(("memory.memsw.limit_in_bytes", "67108864"),),
            events="memory.oom_control",
        ),
        Part(parent="/sys/fs/cgroup/pids", settings=(("pids.max", "108"),)),
    )


def test_version_2_gets_a_sibling_of_the_own_group() -> None:
    membership = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/term.scope\n"
    assert plan(membership, LIMITS) == (
        Part(
            parent="/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice",
            settings=(
                ("memory.max", "67108864"),
                ("memory.oom.group", "1"),
                ("pids.max", "108"),
            ),
            optional=(("memory.swap.max", "0"),),
            events="memory.events",
        ),
    )


def test_version_2_at_the_root_stays_at_the_root() -> None:
    (part,) = plan("0::/\n", LIMITS)
    assert part.parent == "/sys/fs/cgroup"


def test_without_groups_the_command_stays_as_it_is_behind_the_shell() -> None:
    assert Cgroup().joining(["bwrap", "--args"]) == [
        *("/bin/sh", "-c", 'exec "$@"', "sh", "bwrap", "--args")
    ]
