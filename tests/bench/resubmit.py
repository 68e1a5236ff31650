"""Resubmit: what a snapshot sends and takes, beside `git status`, an archive and a bundle."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcp_cloud_agents.snapshots.screen import ScreenRules
from mcp_cloud_agents.snapshots.tree_snapshots import GitSnapshots
from tests.bench.large_tree import edit, large_repository
from tests.bench.series import Series, ms, ratio, took_s
from tests.bench.serving import scratch
from tests.bench.table import Table, verdict

_MAX_EDIT_BYTES, _MAX_RATIO = 1_024, 2.0
_FILES, _MANY_FILES = 2_400, 24_000


@dataclass(frozen=True, slots=True)
class Way:
    """One way to send the tree, with `git status` run beside it."""

    name: str
    sent: Series = field(default_factory=Series)
    took: Series = field(default_factory=Series)
    status: Series = field(default_factory=Series)

    def cells(self) -> tuple[str, ...]:
        sent = f"{max(self.sent.values):,.0f}"
        return (sent, *ms(self.took), ms(self.status)[0], f"{self.slower:.1f}")

    @property
    def slower(self) -> float:
        return ratio(self.took, self.status)


class Tree:
    """The repository and the ways to send it."""

    def __init__(self, folder: Path, files: int) -> None:
        self._folder = folder
        self._files = files
        self._repository = large_repository(folder, files)
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
        edit(self._repository, self._edits * 37 % self._files, f"    one_line = {self._edits:06}")

    def snapshot(self) -> int:
        """From path to sent, as a submit does it; the bytes that were sent."""
        origin = self._snapshots.locate(str(self._repository.path))
        return self._snapshots.take(origin).sent_bytes

    def tar(self) -> int:
        """Bytes of the tree as an archive."""
        return self._shell("git ls-files -z | tar --null -T - -cf - | gzip")

    def bundle(self) -> int:
        """Bytes of the repository as git would carry it."""
        return self._shell("git bundle create -q - --all")

    def _shell(self, line: str) -> int:
        with (self._folder / "out").open("wb") as file:
            where = self._repository.path
            subprocess.run(["sh", "-c", line], cwd=where, stdout=file, check=True)
            return file.tell()


def measure(*, quick: bool) -> Table:
    """Each way in turns with `git status` on the same tree."""
    few, many = (3, 10) if quick else (7, 50)
    with scratch() as folder:
        tree = Tree(folder / "small", _FILES)
        ways = [
            tree.compare(Way("first send"), few, tree.snapshot, before=tree.first),
            tree.compare(Way("after a one-line edit"), many, tree.snapshot, before=tree.edit),
            tree.compare(Way("nothing changed"), many, tree.snapshot, before=lambda: None),
            tree.compare(Way("tar + gzip of the tree"), few, tree.tar, before=tree.edit),
            tree.compare(Way("bundle of all history"), few, tree.bundle, before=tree.edit),
        ]
        big = Tree(folder / "big", _MANY_FILES)
        big.snapshot()
        ways += [
            big.compare(Way("one-line edit"), many, big.snapshot, before=big.edit),
            big.compare(Way("nothing changed"), many, big.snapshot, before=lambda: None),
        ]
    rows = [
        *((f"{_FILES:,} files, {way.name}", *way.cells()) for way in ways[:5]),
        *((f"{_MANY_FILES:,} files, {way.name}", *way.cells()) for way in ways[5:]),
    ]
    columns = ("", "bytes, most", "ms, median", "min", "p95", "`git status` beside, ms", "ratio")
    return Table(columns=columns, rows=rows, notes=_notes(ways[1], ways[2], ways[5]))


def _notes(edited: Way, same: Way, big: Way) -> list[str]:
    sent, again = max(edited.sent.values), max(same.sent.values)
    return [
        verdict("Sent after an edit", f"{sent:,.0f} B", "< 1 KB", met=sent < _MAX_EDIT_BYTES),
        verdict("Sent when nothing changed", f"{again:.0f} B", "0 B", met=again == 0),
        *(
            verdict(
                f"Snapshot and send after an edit, {files:,} files",
                f"{way.slower:.1f}x `git status`",
                f"< {_MAX_RATIO:.0f}x",
                met=way.slower < _MAX_RATIO,
            )
            for files, way in ((_FILES, edited), (_MANY_FILES, big))
        ),
        "Each repository has 20 commits; `git status` runs in the same round, before or after.",
    ]
