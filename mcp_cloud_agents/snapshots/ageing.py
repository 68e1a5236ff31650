"""Stores that grow no more: snapshots that no kept job names go, in steps a day apart.

refs/snapshots/<commit> ─ old, unnamed ─ refs/parked/<commit> ─ a day ─ gone, then a repack
store without refs ─ out of `ids/` ─ an hour ─ removed

A submit may have found a snapshot in the store a moment before we look, and make its job a moment
after: its commit is then parked, restores from there, and comes back from there when the next look
finds the job. A parked snapshot counts as not there, so whoever takes it again sends it again. No
submit finds a store that is out of `ids/`; one that found it before is over after an hour.

Everything is done under the writer's lock. Killed at any point, the next look goes on: refs first,
packs after them (`shrinking` says that this is due), times are a hint that only makes it later.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import AgentsError, BackendFailed
from mcp_cloud_agents.snapshots.store import Repository, Stores
from mcp_cloud_agents.storage.files import read_whole, replace_quickly, storage_errors
from mcp_cloud_agents.storage.lock import locked
from mcp_cloud_agents.storage.trees import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mcp_cloud_agents.domain.job import JobSpec
    from mcp_cloud_agents.snapshots.old_caches import KeptCache

_log = logging.getLogger(__name__)
_DAY_S, _HOUR_S = 86_400.0, 3_600.0
_STORE = re.compile(r"([0-9a-f]{32})\.git")
_HASH = re.compile(r"[0-9a-f]{32}")
_ASIDE = ".old-"
_SNAPSHOTS, _PARKED = "refs/snapshots", "refs/parked"


@dataclass(frozen=True, slots=True)
class _Needed:
    """What of one store is in use."""

    commits: frozenset[str]
    at_all: bool
    """Whether a job or a private git dir needs the store itself."""


@dataclass(frozen=True, slots=True)
class _Ages:
    """Seconds since the epoch, by commit: first seen in the store, parked."""

    seen: dict[str, float] = field(default_factory=dict[str, float])
    parked: dict[str, float] = field(default_factory=dict[str, float])


def age_stores(
    folder: str, specs: Sequence[JobSpec], caches: Sequence[KeptCache], *, keep_s: float, now: float
) -> None:
    """Drop snapshots that are old and named by no job, and stores that nobody needs.

    What fails for one store is logged, and the others are looked at all the same.

    Args:
        folder: `repositories/` of the state folder.
        specs: of the jobs that are kept.
        caches: private git dirs that are kept.
        keep_s: age of a snapshot.
        now: seconds since the epoch; the caller comes once a day at most.
    """
    stores = Stores(folder, shared=os.geteuid() == 0)
    listed = _listed(os.path.join(folder, "ids"))
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        try:
            if found := _STORE.fullmatch(name):
                store = stores.get(found[1])
                needed = _needed(store, specs, caches)
                with storage_errors(folder), stores.writing(store):
                    _age(store, needed, listed.get(store.id), keep_s=keep_s, now=now)
            if name.startswith(_ASIDE) or (".new." in name and now - _mtime(path) > _DAY_S):
                remove_tree(path)
        except AgentsError:
            _log.exception("store_not_aged")


def _listed(ids: str) -> dict[str, str]:
    """Files that lead new submits to a store, by its id."""
    found: dict[str, str] = {}
    with suppress(FileNotFoundError):
        for name in filter(_HASH.fullmatch, os.listdir(ids)):
            path = os.path.join(ids, name)
            found[(read_whole(path, limit=64) or b"").decode("ascii", "replace")] = path
    return found


def _needed(store: Repository, specs: Iterable[JobSpec], caches: Iterable[KeptCache]) -> _Needed:
    named = {s.snapshot.commit for s in specs if s.snapshot.repository == store.id}
    objects = os.path.realpath(store.objects)
    users = [cache for cache in caches if objects in map(os.path.realpath, cache.alternates)]
    based_on = {cache.commit for cache in users if cache.commit is not None}
    if users:  # the next thin pack is based on it
        based_on.add((read_whole(os.path.join(store.path, "latest")) or b"").decode())
    return _Needed(frozenset(named | based_on), bool(named or users))


def _age(
    store: Repository, needed: _Needed, listed: str | None, *, keep_s: float, now: float
) -> None:
    """One store, whose writer's lock is held."""
    _remove_dead_locks(store, now)
    settled = now - _mtime(store.path) > _HOUR_S  # before we write into it ourselves
    left = _age_refs(store, needed.commits, keep_s=keep_s, now=now)
    if os.path.exists(_shrinking(store)):
        _shrink(store)
    if left or needed.at_all or not settled:
        return
    if listed is not None:
        _unlist(listed, store)
    else:
        _remove(store)


def _age_refs(store: Repository, needed: frozenset[str], *, keep_s: float, now: float) -> bool:
    """Park, drop and bring back; whether any snapshot is left."""
    ages = _recall(store)
    there, parked = _refs(store, _SNAPSHOTS), _refs(store, _PARKED)
    packed_at = _mtime(os.path.join(store.path, "packed-refs"))  # none of them is younger
    seen = {one: _written_at(store, one) or ages.seen.get(one, packed_at) for one in there}
    back = parked & needed - there
    park = {one for one in there - needed if now - seen[one] > keep_s}
    over = {one for one in parked - needed if now - ages.parked.get(one, now) >= _DAY_S}
    drop = (over | parked & there) - park
    lines = [f"update {_SNAPSHOTS}/{one} {one}\ndelete {_PARKED}/{one}\n" for one in back]
    lines += [f"update {_PARKED}/{one} {one}\ndelete {_SNAPSHOTS}/{one}\n" for one in park]
    lines += [f"delete {_PARKED}/{one}\n" for one in drop - back]
    if over - there:
        replace_quickly(_shrinking(store), b"")
    if lines:
        store.git.run("update-ref", "--stdin", stdin="".join(lines).encode())
    waiting = {one: ages.parked.get(one, now) for one in parked - back - drop}
    stay = {one: seen.get(one, now) for one in there - park | back}
    _remember(store, ages, _Ages(stay, waiting | dict.fromkeys(park, now)))
    return bool(stay or waiting or park)


def _refs(store: Repository, namespace: str) -> set[str]:
    out = store.git.run("for-each-ref", "--format=%(refname)", namespace).decode()
    return {line.rpartition("/")[2] for line in out.splitlines()}


def _written_at(store: Repository, commit: str) -> float | None:
    """When its ref was written; None once it is packed with others."""
    return _mtime(os.path.join(store.path, _SNAPSHOTS, commit)) or None


def _shrink(store: Repository) -> None:
    """Drop what no ref leads to, and what killed processes left; then that is done."""
    store.git.run("repack", "-a", "-d", "-q", "--window=0")
    store.git.run("prune", "--expire=1.day.ago")
    os.unlink(_shrinking(store))


def _unlist(listed: str, store: Repository) -> None:
    """From now on a submit makes a new store for this repository."""
    with suppress(BackendFailed), locked(f"{listed}.lock", wait_s=0):
        os.utime(store.path)
        os.unlink(listed)
        os.unlink(f"{listed}.lock")


def _remove(store: Repository) -> None:
    folder = os.path.dirname(store.path)
    aside = os.path.join(folder, f"{_ASIDE}{store.id}")
    os.rename(store.path, aside)
    os.unlink(os.path.join(folder, "ids", f"{store.id}.lock"))  # we hold it
    remove_tree(aside)


def _remove_dead_locks(store: Repository, now: float) -> None:
    """Of git processes that were killed: they would keep the refs from being written for ever."""
    for folder, _, names in os.walk(os.path.join(store.path, "refs")):
        for name in names:
            _remove_if_dead(os.path.join(folder, name), now)
    _remove_if_dead(os.path.join(store.path, "packed-refs.lock"), now)


def _remove_if_dead(path: str, now: float) -> None:
    if path.endswith(".lock") and now - _mtime(path) > _HOUR_S:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _recall(store: Repository) -> _Ages:
    try:
        return msgspec.json.decode(read_whole(_ages(store)) or b"{}", type=_Ages)
    except msgspec.MsgspecError:
        return _Ages()


def _remember(store: Repository, before: _Ages, ages: _Ages) -> None:
    if ages != before:
        replace_quickly(_ages(store), msgspec.json.encode(ages))


def _ages(store: Repository) -> str:
    return os.path.join(store.path, "ages.json")


def _shrinking(store: Repository) -> str:
    return os.path.join(store.path, "shrinking")


def _mtime(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0
