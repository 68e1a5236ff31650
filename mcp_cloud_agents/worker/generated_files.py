"""Files that set-up writes into its copy of the tree: a version file, an extension built in place.

They are part of what it made, so they are kept in the environment and given to each job's
workspace. All of it is done by commands inside the sandbox: the files are untrusted data. Such
files are ignored by git (else they would be in the snapshot), so no patch shows them.
"""

from __future__ import annotations

GENERATED = "generated"
"""Folder of the environment that holds them."""
_LISTS = "/env/.cache"
_NOT_KEPT = (
    *(".git", "__pycache__", "node_modules", ".venv", "venv", "build", "dist", "target"),
    *("*.egg-info", "*.pyc"),
)
_MOST_FILES = 2_000
_LARGEST_KIB = 16_384
_NAMES = " -o ".join(f"-name '{name}'" for name in _NOT_KEPT)
_FIND = (
    f"find . -xdev \\( {_NAMES} \\) -prune -o"
    f" -type f -links 1 -size -{_LARGEST_KIB}k -print0 | LC_ALL=C sort -z"
)
NOTE_FILES = f"{_FIND} > {_LISTS}/files"
"""Before the first command: what the tree has."""
KEEP_NEW_FILES = (
    f"{_FIND} | LC_ALL=C comm -z -13 {_LISTS}/files - | head -z -n {_MOST_FILES} > {_LISTS}/new; "
    f"mkdir -p /env/{GENERATED}; "
    f"xargs -0r cp --parents -t /env/{GENERATED} < {_LISTS}/new; "
    f"rmdir /env/{GENERATED} 2>/dev/null; true"
)
"""After the last one: what is there beyond that."""
GIVE = f"cp -R --no-clobber --preserve=mode /env/{GENERATED}/. /workspace/"
"""In a job's workspace, before its command."""
