"""A breaker's record as a small file, which every process of this machine shares.

breakers/
  <name>-<digest>.json        name and record; replaced atomically
  <name>-<digest>.json.lock   held (flock) while it is changed
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.circuit import CircuitRecord
from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.storage.files import read_whole, replace_quickly
from mcp_cloud_agents.storage.lock import locked

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCK_S = 1.0
"""A change takes microseconds; a holder that was stopped in it must not hold us."""
_FILE_BYTES = 65_536
_NAME_CHARS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCircuit:
    """The content of a file."""

    name: str
    record: CircuitRecord


class CircuitFile:
    """`ports.circuit_store.CircuitStore` over a file.

    Args:
        folder: of all breakers; made when it is missing.
        name: of this one, for people; any text.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._name = name
        self._path = circuit_path(folder, name)
        self._unwritten: CircuitRecord | None = None
        self._lock = Lock()

    def read(self) -> CircuitRecord:
        """See the port."""
        if self._unwritten is not None:
            return self._unwritten
        found = _read(self._path)
        return found.record if found is not None and found.name == self._name else CircuitRecord()

    def change(self, step: Callable[[CircuitRecord], CircuitRecord]) -> CircuitRecord:
        """See the port."""
        with self._lock:
            try:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                with locked(f"{self._path}.lock", wait_s=_LOCK_S):
                    return self._written(step(self.read()))
            except (OSError, BackendFailed):
                self._unwritten = step(self.read())
                return self._unwritten

    def _written(self, record: CircuitRecord) -> CircuitRecord:
        data = msgspec.json.encode(NamedCircuit(name=self._name, record=record))
        replace_quickly(self._path, data)
        self._unwritten = None
        return record


def circuit_path(folder: str, name: str) -> str:
    """The file of a breaker: its name as far as a file's name can be that, and a digest of it."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name)[:_NAME_CHARS].strip("-.")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return os.path.join(folder, f"{plain}-{digest}.json")


def circuits_in(folder: str) -> tuple[NamedCircuit, ...]:
    """All breakers that have a record, by name; damaged files and a missing folder have none."""
    try:
        files = [file for file in os.listdir(folder) if file.endswith(".json")]
    except OSError:
        return ()
    found = [_read(os.path.join(folder, file)) for file in files]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.name))


def _read(path: str) -> NamedCircuit | None:
    try:
        data = read_whole(path, limit=_FILE_BYTES)
        return None if data is None else msgspec.json.decode(data, type=NamedCircuit)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
