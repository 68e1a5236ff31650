"""Files that leave a job, looked through for its secrets: texts are cleaned, all else is withheld.

A patch is never cleaned, as it would not fit any more, or would carry something else.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from mcp_cloud_agents.governance.redacted_stream import RedactedStream
from mcp_cloud_agents.storage.files import read_whole, write_durably

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp_cloud_agents.domain.result import Artifact
    from mcp_cloud_agents.governance.redaction import Redactor

_CHUNK = 1 << 20
_CLEANED = ("application/json", "application/x-ndjson", "application/xml", "text/")
_NEVER = "text/x-diff"


def without_secrets(
    artifacts: Sequence[Artifact], folder: str, redactor: Redactor
) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """Make artifacts safe.

    Args:
        artifacts: what is in the folder, by their names.
        folder: of the job's artifacts; files in it are rewritten, or removed.
        redactor: knows the values.

    Returns:
        Those that are kept, and a note on each that is withheld.

    Raises:
        NoSpace: the disk is full.
    """
    if not redactor.longest:
        return tuple(artifacts), ()
    kept: list[Artifact] = []
    notes: list[str] = []
    for artifact in artifacts:
        path = os.path.join(folder, artifact.name)
        if not holds_secret(path, redactor):
            kept.append(artifact)
        elif artifact.media_type.startswith(_CLEANED) and artifact.media_type != _NEVER:
            kept.append(_cleaned(artifact, path, redactor))
        else:
            os.unlink(path)
            notes.append(f"Withheld: {artifact.name} holds a secret of this job.")
    return tuple(kept), tuple(notes)


def holds_secret(path: str, redactor: Redactor) -> bool:
    """Whether a known value stands in a file of ours; in constant memory."""
    looking = RedactedStream(redactor, lambda _: None)
    with open(path, "rb") as file:
        while not looking.found and (data := file.read(_CHUNK)):
            looking.feed(data)
    looking.close()
    return looking.found > 0


def _cleaned(artifact: Artifact, path: str, redactor: Redactor) -> Artifact:
    data = redactor.raw(read_whole(path, limit=artifact.size_bytes) or b"")
    write_durably(path, data)
    return replace(artifact, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
