"""Resubmit: what a snapshot sends and takes, beside `git status`, an archive and a bundle."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from tests.bench.large_tree import FILES, edit, large_repository
from tests.bench.series import Series, ms, ratio, took_s
from tests.bench.serving import scratch
from tests.bench.table import Table, verdict
from tests.e2e.wire import Repository

_MAX_EDIT_BYTES, _MAX_RATIO = 1_024, 2.0
_TAR = "git ls-files -z | tar --null -T - -cf - | gzip"
_BUNDLE = "git bundle create -q - --all"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to send the tree, with `git status` run beside it."""

    name: str
    sent: Series = field(default_factory=Series)
    took: Series = field(default_factory=Series)
    status: Series = field(default_factory=Series)

    def row(self) -> tuple[str, ...]:
        beside = ms(self.status)[0]
        return (
            self.name,
            f"{max(self.sent.values):,.0f}",
            *ms(self.took),
            beside,
            f"{self.slower:.2f}",
        )

    @property
    def slower(self) -> float:
        return ratio(self.took, self.status)


class Tree:
    """The repository and the ways to send it."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        self._folder = folder
        self._repository = repository
        self._states = self._edits = 0
        self._snapshots = self._new_state()

    def _new_state(self) -> GitSnapshots:
        self._states += 1
        state = self._folder / f"state-{self._states}"
        state.mkdir(mode=0o711)
        return GitSnapshots(str(state), ScreenRules(), home=self._repository.env["HOME"])

    def compare(
        self, way: Way, rounds: int, send: Callable[[], int], *, before: Callable[[], None]
    ) -> Way:
        """Send the tree in turns with `git status`; `before` each round the tree may change."""

        def status() -> None:
            way.status.add(took_s(lambda: self._repository.git("status", "--porcelain")))

        def ours() -> None:
            sent = list[int]()
            way.took.add(took_s(lambda: sent.append(send())))
            way.sent.add(sent[0])

        for number in range(rounds):
            before()
            for step in (status, ours) if number % 2 else (ours, status):
                step()
        return way

    def first(self) -> None:
        """The next snapshot is the first one of its state folder."""
        self._snapshots = self._new_state()

    def edit(self) -> None:
        """One line, another file each time."""
        self._edits += 1
        edit(self._repository, self._edits * 37 % FILES, f"    one_line = {self._edits:06}")

    def snapshot(self) -> int:
        """From path to sent, as a submit does it; the bytes that were sent."""
        origin = self._snapshots.locate(str(self._repository.path))
        return self._snapshots.take(origin).sent_bytes

    def shell(self, line: str) -> int:
        """Bytes of a shell line's output."""
        with (self._folder / "out").open("wb") as file:
            where = self._repository.path
            subprocess.run(["sh", "-c", line], cwd=where, stdout=file, check=True)
            return file.tell()


def measure(*, quick: bool) -> Table:
    """Each way in turns with `git status` on the same tree."""
    few, many = (3, 10) if quick else (7, 50)
    with scratch() as folder:
        tree = Tree(folder, large_repository(folder))
        first = tree.compare(Way("snapshot, first send"), few, tree.snapshot, before=tree.first)
        edited = tree.compare(
            Way("snapshot after a one-line edit"), many, tree.snapshot, before=tree.edit
        )
        same = tree.compare(
            Way("snapshot, nothing changed"), many, tree.snapshot, before=lambda: None
        )
        others = [
            tree.compare(Way(name), few, lambda line=line: tree.shell(line), before=tree.edit)
            for name, line in (("tar + gzip of the tree", _TAR), ("bundle of all history", _BUNDLE))
        ]
    rows = [way.row() for way in (first, edited, same, *others)]
    columns = ("", "bytes, most", "ms, median", "min", "p95", "`git status` beside, ms", "ratio")
    return Table(columns=columns, rows=rows, notes=_notes(edited, same))


def _notes(edited: Way, same: Way) -> list[str]:
    sent, again = max(edited.sent.values), max(same.sent.values)
    return [
        verdict(
            "Sent after a one-line edit", f"{sent:,.0f} B", "< 1 KB", met=sent < _MAX_EDIT_BYTES
        ),
        verdict(
            "Snapshot and send after a one-line edit",
            f"{edited.slower:.2f} × `git status`",
            "< 2 ×",
            met=edited.slower < _MAX_RATIO,
        ),
        verdict("Sent when nothing changed", f"{again:.0f} B", "0 B", met=again == 0),
        f"The repository has {FILES:,} files and 20 commits; `git status` runs in the same round.",
    ]
