"""A patch that would carry a secret of its job is withheld whole, with the paths named.

Contents are looked through before and after the change, as git packs binary ones in the patch.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from mcp_cloud_agents.domain.errors import BackendFailed
from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.governance.redacted_stream import RedactedStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_cloud_agents.governance.redaction import Redactor
    from mcp_cloud_agents.worker.boxed_git import BoxedGit

_CHUNK = 1 << 20
_NAMED = 5
_NAME_CHARS = 60
_READ = """
ulimit -f 4194304
git cat-file --batch </git/oids >/git/blobs
"""


def check_changes(
    git: BoxedGit, changes: Sequence[tuple[bytes, bytes, bytes]], redactor: Redactor
) -> None:
    """Refuse a change that holds a known value.

    Args:
        git: of the workspace.
        changes: path, object before and object after of each changed entry; zeros: there is none.
        redactor: knows the values.

    Raises:
        BackendFailed: it does; the paths are named, as far as they are safe to show.
        GitStopped: the job was cancelled, or the time is up.
    """
    if not redactor.longest or not changes:
        return
    oids = dict.fromkeys(oid for _, *both in changes for oid in both if oid.strip(b"0"))
    git.give("oids", b"".join(b"%s\n" % oid for oid in oids))
    git.run(_READ)
    with os.fdopen(git.open("blobs"), "rb") as file:
        holding = set(_holding(git, file, redactor))
    bad = [path for path, *both in changes if not holding.isdisjoint(both) or redactor.spans(path)]
    if bad:
        raise carries_secret([redactor.known(render(path)) for path in bad])


def carries_secret(paths: Sequence[str]) -> BackendFailed:
    """The refusal of a patch."""
    named = ", ".join(path[:_NAME_CHARS] for path in paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return BackendFailed(
        f"it would carry a secret of this job, in {named}{more}.",
        hint="Let the command write secrets to ignored paths, or not at all.",
    )


def _holding(git: BoxedGit, file: IO[bytes], redactor: Redactor) -> Iterator[bytes]:
    """The objects of a `cat-file --batch` that hold a known value."""
    while head := file.readline(_CHUNK):
        oid, _, *size = head.split()
        if not size:  # "OID missing"
            continue
        looking = RedactedStream(redactor, lambda _: None)
        left = int(size[0])
        while left > 0 and (data := file.read(min(left, _CHUNK))):
            git.check()
            looking.feed(data)
            left -= len(data)
        looking.close()
        file.readline(1)
        if looking.found:
            yield oid
