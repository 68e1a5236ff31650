"""A copy of the audit in a bucket: pieces of the chain, each an object that is written once.

    audit/<machine>/<from>-<to>.jsonl      lines as they stand in the files, whole

What is there says how far the copy went; `copied` in the folder is only a hint that saves asking.
A piece is put behind the one before it only when its chain follows on that one.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed
from mcp_cloud_agents.governance.audit import START, Broken, Head, Known, head_of, link_of, verify
from mcp_cloud_agents.storage.files import read_whole, replace_quickly
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.governance.audit import Line
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.storage.audit_folder import AuditFolder

_PIECE_LINES = 5_000
_RIPE_ENTRIES = 200
_RIPE_S = 900.0
"""So that a quiet machine makes a few objects a day, not one an entry: none is ever joined."""
_TAIL_BYTES = 1 << 20
_KEY = re.compile(r"audit/[0-9a-f]+/([0-9]{8,18})-([0-9]{8,18})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How far the copy went."""

    copied: int
    """Number of the newest entry that is there."""
    pending: int
    """Entries that are not."""
    oldest_at: float | None = None
    """When the oldest of them was written; None: there are none."""
    where: str = ""
    """What a person calls the place; empty while nobody asked it."""
    problem: str = ""
    """Why it does not go on, with what to do; empty: it does."""


class _Hint(msgspec.Struct, frozen=True):
    number: int
    hash: str
    where: str


class AuditCopy:
    """Copies; any thread and process may, one at a time does.

    Args:
        folder: of the audit.
        bucket: opens the store; it is asked only when there is something to copy.
        now: Unix time in seconds.
    """

    def __init__(
        self,
        folder: AuditFolder,
        bucket: Callable[[], Store],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._bucket = bucket
        self._now = now

    def state(self) -> Copied:
        """As far as this machine knows; asks nobody. Raises AuditUnusable."""
        head = self._folder.head() or START
        hint = self._hint()
        pending = max(0, head.number - hint.number)
        lines = self._folder.lines(after=hint.number) if pending else iter(())
        oldest_at = next((link_of(line.data).entry.at for line in lines), None)
        return Copied(copied=hint.number, pending=pending, oldest_at=oldest_at, where=hint.where)

    def copy_pending(self, *, all_of_it: bool = False) -> Copied:
        """Copy what is not there yet; never raises what can pass: it says why it did not go on.

        Args:
            all_of_it: else only when there are many, or the oldest waits for long.
        """
        state = Copied(copied=0, pending=0)
        try:
            state = self.state()
            if not state.pending or not (all_of_it or self._ripe(state)):
                return state
            with locked(os.path.join(self._folder.path, "copying"), wait_s=0):
                self._copy(self._bucket())
            return self.state()
        except AgentsError as exc:
            return replace(state, problem=f"{exc.message} {exc.hint}")
        except (OSError, msgspec.MsgspecError) as exc:
            return replace(state, problem=f"The audit cannot be read: {exc}.")

    def known(self) -> Known | None:
        """What the copy knows of the chain; None: it has nothing. Raises what the store raises."""
        store = self._bucket()
        found = self._newest(store)
        return found and Known(where=f"{store.name}/{found[0]}", head=found[1])

    def _ripe(self, state: Copied) -> bool:
        waits_s = self._now() - (state.oldest_at or self._now())
        return state.pending >= _RIPE_ENTRIES or waits_s >= _RIPE_S

    def _copy(self, store: Store) -> None:
        found = self._newest(store)
        head = found[1] if found else START
        here = self._folder.head() or START
        if head.number > here.number:
            raise BackendFailed(
                f"The copy in {store.name} ends with entry {head.number}, the audit here with "
                f"{here.number}: entries were taken away here.",
                hint="The copy has them; look at who changed the state folder.",
            )
        self._remember(head, store)
        lines = self._folder.lines(after=head.number)
        while piece := list(islice(lines, _PIECE_LINES)):
            head = self._put(store, piece, head)
            self._remember(head, store)

    def _put(self, store: Store, piece: Sequence[Line], after: Head) -> Head:
        """One object; the head after it."""
        checked = verify(piece, start=after)
        if isinstance(checked, Broken):
            raise BackendFailed(
                f"The audit here does not go on where its copy in {store.name} ends: "
                f"{checked.file}, line {checked.line}: {checked.said}.",
                hint="`mcp-cloud-agents audit verify --cloud` says more. Nothing was copied.",
            )
        key = f"{self._prefix()}{after.number + 1:08}-{checked.head.number:08}.jsonl"
        data = b"".join(line.data for line in piece)
        if not store.put_new(key, data) and store.get(key) != data:
            raise BackendFailed(
                f"{store.name}/{key} holds other entries than this machine.",
                hint="Was the state folder copied to another machine? Give the audit's folder "
                "another name on one of them: a new chain begins there.",
            )
        return checked.head

    def _newest(self, store: Store) -> tuple[str, Head] | None:
        """Key of the last piece, and the head after it."""
        if not self._folder.machine():
            return None
        keys = [one for one in store.list(self._prefix()) if _KEY.fullmatch(one.key)]
        if not keys:
            return None
        last = max(keys, key=lambda one: _end_of(one.key))
        tail = store.get(last.key, offset=max(0, last.size_bytes - _TAIL_BYTES)) or b""
        head = head_of(tail[tail.rfind(b"\n", 0, -1) + 1 :])
        if head is None or head.number != _end_of(last.key):
            raise BackendFailed(
                f"{store.name}/{last.key} does not end with entry {_end_of(last.key)}.",
                hint="Somebody wrote it who is no copy of ours: look at its versions in the "
                "bucket.",
            )
        return last.key, head

    def _prefix(self) -> str:
        return f"audit/{self._folder.machine()}/"

    def _hint(self) -> _Hint:
        data = read_whole(self._folder.copied_path, limit=4_096)
        try:
            return msgspec.json.decode(data or b"", type=_Hint)
        except msgspec.MsgspecError:
            return _Hint(number=0, hash=START.hash, where="")

    def _remember(self, head: Head, store: Store) -> None:
        hint = _Hint(number=head.number, hash=head.hash, where=store.name)
        replace_quickly(self._folder.copied_path, msgspec.json.encode(hint))


def _end_of(key: str) -> int:
    found = _KEY.fullmatch(key)
    return int(found[2]) if found else 0
