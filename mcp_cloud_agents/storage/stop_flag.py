"""The stop flag: while this file is there, no job is started on this machine."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.storage.files import read_whole, storage_errors, sync_folder, write_durably

_MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Who stopped everything, when and why."""

    by: str
    at: float
    """Seconds since the epoch."""
    why: str = ""

    @property
    def sentence(self) -> str:
        """What somebody is told who wants to start a job."""
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(self.at))
        why = f": {render_text(self.why).rstrip('.')}" if self.why else ""
        return f"{render_text(self.by) or 'Somebody'} stopped everything at {when}{why}."


_UNREADABLE = Stop(by="", at=0.0, why="the stop flag cannot be read")


class StopFlag:
    """The file `stopped` of the state folder; any process may read it at any time.

    Args:
        state: path of the state folder, which exists.
    """

    def __init__(self, state: str) -> None:
        self.path = os.path.join(state, "stopped")

    def read(self) -> Stop | None:
        """What was said with the stop; None: nothing is stopped. A damaged flag still stops."""
        try:
            data = read_whole(self.path, limit=_MAX_BYTES)
            return None if data is None else msgspec.json.decode(data, type=Stop)
        except (OSError, msgspec.MsgspecError):
            return _UNREADABLE

    def why(self) -> str:
        """One sentence for whoever wants to start a job; empty: it may start."""
        found = self.read()
        return "" if found is None else found.sentence

    def set(self, stop: Stop) -> Stop:
        """Stop everything, durably; the first word stays until a person resumes.

        Returns:
            What stands there now.

        Raises:
            StateUnusable, NoSpace: it could not be written.
        """
        if (found := self.read()) is not None:
            return found
        with storage_errors(self.path):
            write_durably(self.path, msgspec.json.encode(stop))
        return stop

    def clear(self) -> bool:
        """Let jobs start again; whether anything was stopped. Raises StateUnusable."""
        stopped = os.path.lexists(self.path)
        with storage_errors(self.path), suppress(FileNotFoundError):
            os.unlink(self.path)
            sync_folder(os.path.dirname(self.path))
        return stopped
