"""Killed at each step of an apply and of an undo: the next call finds it undone, or done."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mcp_cloud_agents.domain.applied import Change
from mcp_cloud_agents.domain.errors import NoSpace
from tests.apply_killed import Order
from tests.job_patches import JOB, Checkout, File, link

TEXT = "".join(f"line {number}\n" for number in range(30))
KILLED = -9
Content = dict[str, bytes | str]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.commit({"a.txt": TEXT, "b.txt": "b\n", "gone/c.txt": "c\n", "dir/d.txt": "d\n"})
    return made


def a_change(checkout: Checkout) -> Change:
    """Every kind of step: a merge, additions, deletions, a link, a mode, a folder for a file."""
    change = checkout.job(
        {
            "a.txt": TEXT.replace("line 3\n", "job\n"),
            "b.txt": None,
            "b.txt/inner": "inner\n",
            "dir/d.txt": File(b"d\n", "100755"),
            "gone/c.txt": None,
            "new/deep/e.txt": "e\n",
            "new/link": link("deep/e.txt"),
        }
    )
    checkout.write({"a.txt": TEXT.replace("line 25\n", "mine\n"), "mine.txt": "mine\n"})
    return change


def run(checkout: Checkout, change: Change, step: int, *, undo: bool) -> int | None:
    """How many steps it took; None: it was killed."""
    order = Order(str(checkout.top), change, undo)
    (checkout.folder / "order.json").write_bytes(msgspec.json.encode(order))
    done = subprocess.run(
        [sys.executable, "-m", "tests.apply_killed", checkout.folder, str(step)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, KILLED), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


@dataclass(frozen=True)
class Trial:
    """What is applied, and how the worktree looks without it and with it."""

    checkout: Checkout
    change: Change
    undo: bool
    without: Content
    with_it: Content

    def killed_at(self, step: int) -> bool:
        """Kill it there, look, and bring everything back; False: it was not that far."""
        checkout = self.checkout
        if self.undo:
            checkout.apply(self.change)
        begin, end = (self.with_it, self.without)[:: 1 if self.undo else -1]
        killed = run(checkout, self.change, step, undo=self.undo) is None
        told = checkout.apply(self.change, "check")
        found = checkout.content()
        assert found in ((begin, end) if killed else (end,)), step
        assert bool(told.paths) is (found == self.without)
        if found != self.without:
            checkout.patches.undo(JOB, checkout.origin)
        assert checkout.content() == self.without
        return killed


def a_trial(checkout: Checkout, *, undo: bool) -> Trial:
    change = a_change(checkout)
    without = checkout.content()
    checkout.apply(change)
    with_it = checkout.content()
    checkout.patches.undo(JOB, checkout.origin)
    return Trial(checkout, change, undo, without, with_it)


@pytest.mark.parametrize("undo", [False, True], ids=["apply", "undo"])
def test_an_apply_killed_at_some_steps_is_undone_or_done(checkout: Checkout, undo: bool) -> None:
    trial = a_trial(checkout, undo=undo)
    assert sum(trial.killed_at(step) for step in range(6, 62, 7)) >= 6


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("undo", [False, True], ids=["apply", "undo"])
def test_an_apply_killed_at_each_step_is_undone_or_done(checkout: Checkout, undo: bool) -> None:
    trial = a_trial(checkout, undo=undo)
    step = 0
    while trial.killed_at(step):
        step += 1
    assert step > 30


def test_a_job_after_a_crash_gets_the_whole_tree_and_never_half_of_a_patch(
    checkout: Checkout,
) -> None:
    trial = a_trial(checkout, undo=False)
    whole = checkout.take()
    steps = run(checkout, trial.change, -1, undo=False)
    assert steps is not None
    checkout.patches.undo(JOB, checkout.origin)
    assert run(checkout, trial.change, steps - 6, undo=False) is None
    assert checkout.content() not in (trial.without, trial.with_it)
    taken = checkout.take()
    told = f"An apply of job {JOB} was cut off; it was rolled back first."
    assert (taken.tree, taken.warnings) == (whole.tree, (told, *whole.warnings))
    assert checkout.content() == trial.without
    assert checkout.take() == whole


def test_a_crash_is_rolled_back_as_soon_as_it_can_be(checkout: Checkout) -> None:
    trial = a_trial(checkout, undo=False)
    steps = run(checkout, trial.change, -1, undo=False)
    assert steps is not None
    checkout.patches.undo(JOB, checkout.origin)
    assert run(checkout, trial.change, steps - 6, undo=False) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(NoSpace, match="cut off and cannot be rolled back"):
            checkout.take()
    checkout.take()
    assert checkout.content() == trial.without


def full(_fd: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_what_was_edited_after_a_crash_is_kept_and_named(checkout: Checkout) -> None:
    trial = a_trial(checkout, undo=False)
    steps = run(checkout, trial.change, -1, undo=False)
    assert steps is not None
    checkout.patches.undo(JOB, checkout.origin)
    assert run(checkout, trial.change, steps - 6, undo=False) is None
    assert checkout.content()["new/deep/e.txt"] == b"e\n"
    checkout.write({"new/deep/e.txt": "edited since\n"})
    told = checkout.apply(trial.change, "check")
    kept = "Not rolled back: new/deep/e.txt (edited since, left as it is)."
    assert kept in told.notes
    assert checkout.content() == {**trial.without, "new/deep/e.txt": b"edited since\n"}
