"""Attacks on policy: by repositories, by files that are none, by patterns, letters and clocks."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mcp_cloud_agents.agents.repository_policy import read_repository_policy
from mcp_cloud_agents.domain.decision import Allow, Ask, Deny
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.governance.conditions import Conditions
from mcp_cloud_agents.governance.policy import Effect, Policy, Rule, combine, decide
from mcp_cloud_agents.governance.policy_text import parse_policy
from mcp_cloud_agents.storage.policy_file import read_policy
from mcp_cloud_agents.telemetry.local_time import local_time
from tests.unit.governance.jobs import a_job

CLOUD = Conditions(backend="aws_batch")
RULE = "[[rules]]\nname = 'a'\ndecision = 'deny'\n"


@pytest.mark.parametrize("effect", [Effect.DENY, Effect.ASK])
@pytest.mark.parametrize(
    "theirs",
    [
        b"default = 'allow'",
        b"[[rules]]\nname = 'all of it'\ndecision = 'allow'\n",
        b"[[rules]]\nname = 'cloud'\ndecision = 'allow'\nwhen = { backend = 'aws_batch' }",
    ],
)
def test_a_repository_allows_itself_what_the_person_does_not(effect: Effect, theirs: bytes) -> None:
    person = Policy(rules=(Rule(name="cloud", decision=effect, when=CLOUD),))
    job = a_job(backend="aws_batch")
    own = decide(person, job)
    assert not isinstance(own, Allow)
    assert combine(own, decide(read_repository_policy(theirs), job)) == own


def test_a_repositorys_question_replaces_the_refusal_of_the_person() -> None:
    theirs = read_repository_policy(b"default = 'ask'")
    denied = Deny(rule="mine", reason="no")
    assert combine(denied, decide(theirs, a_job())) == denied


def test_a_repository_poses_as_the_person_in_the_question() -> None:
    data = b"[[rules]]\nname = 'default'\ndecision = 'ask'\nreason = 'You agreed already.'\n"
    with pytest.raises(BadConfig, match="the name 'default' is taken"):
        read_repository_policy(data)
    theirs = decide(read_repository_policy(data.replace(b"default", b"mine")), a_job())
    assert combine(Allow(rule="default"), theirs) == Ask(
        rule="repository: mine",
        reason="The repository's own policy says: You agreed already.",
    )


@pytest.mark.parametrize("char", ["\n", "\x1b[2K", "\u202e", "\u200b", "\u2028", "\ufeff"])
def test_a_reason_moves_the_cursor_or_hides_text(char: str) -> None:
    escaped = "".join(f"\\u{ord(one):04x}" for one in char)
    with pytest.raises(BadConfig, match="characters nobody sees"):
        read_repository_policy(f'{RULE}reason = "ok{escaped}no"'.encode())


def test_a_repositorys_policy_is_huge_or_has_endless_rules() -> None:
    with pytest.raises(BadConfig, match="at most 16384 are read"):
        read_repository_policy(b"#" * 16_385)
    rules = "".join(f"[[rules]]\nname='{n}'\ndecision='ask'\n" for n in range(201))
    with pytest.raises(BadConfig, match="length <= 200"):
        read_repository_policy(rules.encode())


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "socket"])
def test_a_policy_file_that_is_no_file_neither_hangs_nor_allows(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mknod(path, 0o140600)
    with pytest.raises(BadConfig, match=r"no regular file|cannot be read"):
        read_policy(str(path))


def test_a_policy_link_that_leads_nowhere_is_not_the_absence_of_rules(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.symlink_to(tmp_path / "gone.toml")
    with pytest.raises(BadConfig, match="the link leads nowhere"):
        read_policy(str(path))
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(BadConfig, match="cannot be read"):
        read_policy(str(path))


def test_a_huge_policy_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(BadConfig, match="at most 65536 are read"):
        read_policy(str(path))


def test_a_policy_that_any_user_of_the_machine_may_write(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("default = 'deny'")
    path.chmod(0o666)
    with pytest.raises(BadConfig, match="every user of this machine may write it"):
        read_policy(str(path))


def test_a_pattern_bomb_is_refused_and_the_worst_that_is_taken_is_quick() -> None:
    with pytest.raises(BadConfig, match=r"more than 8 '\*'"):
        parse_policy(f"{RULE}when = {{ paths = '{'*a' * 9}b' }}".encode(), file="f")
    rules = "".join(
        f"[[rules]]\nname='{n}'\ndecision='deny'\nwhen={{paths='{n}{'*a?' * 8}b'}}\n"
        for n in range(150)
    )
    policy = read_repository_policy(rules.encode())
    job = a_job(paths=tuple(f"{n % 200}{'a' * 4_000}" for n in range(20)))
    before = time.process_time()
    assert decide(policy, job) == Allow(rule="default")
    assert time.process_time() - before < 5


def test_a_letter_of_another_alphabet_in_a_name_is_refused() -> None:
    with pytest.raises(BadConfig, match=r"line 4, column 18: 'run_tests_cl\\u043eud' fits nothing"):
        parse_policy(f"{RULE}when = {{ agent = 'run_tests_cl\u043eud' }}".encode(), file="f")


def test_a_hidden_letter_in_a_path_is_refused() -> None:
    with pytest.raises(BadConfig, match="characters nobody sees"):
        parse_policy(f"{RULE}when = {{ workspace = '/src/\u200bapp' }}".encode(), file="f")


def test_the_same_letter_spelt_in_two_ways_does_not_slip_past() -> None:
    when = Conditions(workspace="/src/caf\u00e9*", paths="\u00e9/*")
    policy = Policy(rules=(Rule(name="no", decision=Effect.DENY, when=when),))
    job = a_job(workspace="/src/cafe\u0301", paths=("e\u0301/x",))
    assert isinstance(decide(policy, job), Deny)


def test_a_variable_of_a_client_moves_the_hours_of_the_policy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zone = str(tmp_path / "none")
    before = local_time(0, zone_file=zone)
    monkeypatch.setenv("TZ", "XYZ-11")
    time.tzset()
    try:
        assert local_time(0, zone_file=zone) == before == "thu 00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("when", ["noon", "mon 24:00", "MON 12:00", "mon 9:00", "mon 12:00\n", ""])
def test_a_time_that_is_none_never_reaches_a_rule(when: str) -> None:
    with pytest.raises(ValueError, match="no local time"):
        a_job(local_time=when)
