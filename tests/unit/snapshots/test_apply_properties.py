"""Whatever was edited on either side: an apply is the merge of both, or nothing changed."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.domain.errors import PatchConflict
from tests.job_patches import JOB, Checkout

PATHS = ("a", "b", "sub/c", "sub/deep/d", "e")
SLOTS = 3
Slots = tuple[int, ...]
Tree = dict[str, Slots | None]

versions = st.none() | st.tuples(*[st.integers(0, 2)] * SLOTS)
trees = st.fixed_dictionaries(dict.fromkeys(PATHS, versions))


def text(path: str, slots: Slots) -> str:
    """Lines that are a file's own, so that none looks like a rename of another, and its slots."""
    lines: list[str] = []
    for number, value in enumerate(slots):
        own = [hashlib.sha256(f"{path} {number} {n}".encode()).hexdigest() for n in range(8)]
        lines += [*own, f"slot {number} is {value}"]
    return "\n".join([*lines, *(hashlib.sha256(f"{path} {n}".encode()).hexdigest() for n in "ab")])


def merged(base: Slots | None, ours: Slots | None, theirs: Slots | None) -> Slots | None:
    """Of one path. Raises ValueError: a conflict."""
    if ours in (base, theirs):
        return theirs
    if theirs == base:
        return ours
    if base is None or ours is None or theirs is None:
        if base is None and ours is not None and theirs is not None:
            raise ValueError("added twice")
        raise ValueError("deleted and edited")
    values: list[int] = []
    for was, mine, job in zip(base, ours, theirs, strict=True):
        if was not in (mine, job) and mine != job:
            raise ValueError("same place")
        values.append(job if mine == was else mine)
    return tuple(values)


def put(checkout: Checkout, tree: Tree) -> None:
    for path, slots in tree.items():
        target = checkout.top / path
        if slots is None:
            target.unlink(missing_ok=True)
        else:
            checkout.write({path: text(path, slots)})


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(base=trees, ours=trees, theirs=trees)
def test_an_apply_is_the_merge_or_nothing(base: Tree, ours: Tree, theirs: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        checkout.commit({"kept": "kept\n"})
        put(checkout, base)
        snapshot = checkout.take()
        left = {
            path: None if slots is None else text(path, slots)
            for path, slots in theirs.items()
            if slots != base[path]
        }
        if not left:
            return
        change = checkout.job(left, snapshot)
        put(checkout, ours)
        before = checkout.content()
        try:
            wanted = {path: merged(base[path], ours[path], theirs[path]) for path in PATHS}
        except ValueError:
            wanted = None
        try:
            applied = checkout.apply(change)
        except PatchConflict:
            assert wanted is None
            assert checkout.content() == before
            return
        assert wanted is not None
        found = {path: data for path, data in checkout.content().items() if not path.endswith("/")}
        expected = {p: text(p, slots).encode() for p, slots in wanted.items() if slots is not None}
        assert found == {"kept": b"kept\n", **expected}
        if applied.done:
            checkout.patches.undo(JOB, checkout.origin)
            left_over = checkout.content()
            assert {p: d for p, d in left_over.items() if not p.endswith("/")} == {
                p: d for p, d in before.items() if not p.endswith("/")
            }
