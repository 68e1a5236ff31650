"""A repository's configuration as one thing: its digest, and how it is shown to a person."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.agents.trust import config_digest
from mcp_cloud_agents.agents.trust_text import change_text, content_text, visible

NAMES = st.sampled_from([".cloud-agents/a", ".cloud-agents/b", ".cloud-agents/ab", "\udcff"])
FILES = st.dictionaries(NAMES, st.binary(max_size=4), max_size=3)


@given(one=FILES, other=FILES)
def test_two_configurations_have_one_digest_only_when_equal(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert (config_digest(one) == config_digest(other)) is (one == other)


@given(one=FILES, other=FILES)
def test_every_change_of_a_configuration_is_shown(
    one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    assert bool(change_text(one, other)) is (one != other)


@given(data=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_nothing_that_is_shown_can_hide_or_move_the_cursor(data: bytes) -> None:
    assert all(char.isprintable() or char in "\n\t" for char in visible(data))


def test_a_new_configuration_is_shown_whole_and_a_known_one_by_its_change() -> None:
    before = {"c": b"a = 1\nb = 2\n"}
    after = {"c": b"a = 1\nb = 3\n"}
    assert content_text(before) == "c (12 bytes)\n  a = 1\n  b = 2\n  \n"
    assert change_text(before, after) == (
        "--- trusted c\n+++ now c\n@@ -1,3 +1,3 @@\n a = 1\n-b = 2\n+b = 3\n \n"
    )
    assert content_text({}) == "(no files)\n"


def test_escape_sequences_and_invisible_letters_are_shown_as_escapes() -> None:
    assert visible("\x1b[2J\u200b\u202eä".encode()) == "\\x1b[2J\\u200b\\u202eä"
