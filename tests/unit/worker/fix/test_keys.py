"""Keys are named by reference, and no message ever shows one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_cloud_agents.backends.local.hand_over import handed_over
from mcp_cloud_agents.domain.errors import ModelUnusable, SecretUnusable
from mcp_cloud_agents.domain.fix import Engine, FixOrder, ModelRoute, Provider
from mcp_cloud_agents.domain.handed import Handed
from mcp_cloud_agents.worker.fix.keys import read_handed, resolve

CANARY = "sk-canary-4f1d"


def an_order(*references: str) -> FixOrder:
    routes = (
        ModelRoute(provider=Provider.ANTHROPIC, model="m", key=reference)
        for reference in references
    )
    return FixOrder(goal="g", engine=Engine.MODEL, models=tuple(routes))


LATIN = f"{CANARY}\xff".encode("latin-1")


def a_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_each_reference_gives_its_value_and_no_reference_gives_none(tmp_path: Path) -> None:
    path = a_file(tmp_path, f"  {CANARY}  \nsecond line\n".encode())
    order = an_order("env:A", f"file:{path}", "env:A", "")
    assert resolve(order, {"A": "a-key\n", "B": "unused"}) == {
        "env:A": "a-key",
        f"file:{path}": CANARY,
    }


def test_a_missing_variable_is_named_with_where_to_set_it() -> None:
    with pytest.raises(ModelUnusable, match="no variable MY_KEY was there") as refused:
        resolve(an_order("env:MY_KEY"), {"OTHER": CANARY})
    assert 'env_vars = ["MY_KEY"]' in refused.value.hint


@pytest.mark.parametrize(
    ("content", "mode", "why"),
    [
        (CANARY.encode(), 0o644, "other users can open it"),
        (CANARY.encode(), 0o660, "other users can open it"),
        (b"\nsecond line", 0o600, "it is empty"),
        (CANARY.encode() * 100_000, 0o600, "it is too long"),
        (f"{CANARY}\rX-Header: 1".encode(), 0o600, "characters no key has"),
        (LATIN, 0o600, "characters no key has"),
    ],
)
def test_a_file_that_is_no_private_key_is_refused_without_showing_it(
    tmp_path: Path, content: bytes, mode: int, why: str
) -> None:
    path = a_file(tmp_path, content, mode)
    with pytest.raises(ModelUnusable, match=why) as refused:
        resolve(an_order(f"file:{path}"), {})
    assert CANARY not in f"{refused.value.message} {refused.value.hint}"
    assert str(path) in refused.value.message


def test_a_pipe_a_folder_and_nothing_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", ".", "missing"):
        with pytest.raises(ModelUnusable, match="cannot be used"):
            resolve(an_order(f"file:{tmp_path / name}"), {})


def test_a_key_written_in_place_of_a_reference_is_refused_and_not_shown() -> None:
    with pytest.raises(ModelUnusable) as refused:
        resolve(an_order(CANARY), {})
    assert CANARY not in f"{refused.value.message} {refused.value.hint}"


def test_what_is_handed_over_can_be_read_once() -> None:
    values = Handed(keys={"A": CANARY}, secrets={"B": CANARY * 5_000})
    with handed_over(values) as (fd,):
        copy = os.dup(fd)
    again = os.dup(copy)
    assert read_handed(copy) == values
    assert os.read(again, 100) == b""
    os.close(again)
    assert CANARY not in repr(values)


def test_without_values_no_descriptor_is_handed_over() -> None:
    with handed_over(Handed()) as fds:
        assert fds == ()
    assert read_handed(None) == Handed()


@pytest.mark.parametrize("kind", ["keys", "secrets"])
def test_values_that_could_block_the_pipe_are_refused_by_name(kind: str) -> None:
    values = Handed(**{kind: {"A_LONG_ONE": CANARY * 100_000}})
    refusal = ModelUnusable if kind == "keys" else SecretUnusable
    with pytest.raises(refusal, match="A_LONG_ONE") as refused, handed_over(values):
        pass
    assert CANARY not in refused.value.message
