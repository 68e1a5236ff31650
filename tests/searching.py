"""Looking for a secret in all files of a folder while a worker may still tidy it up."""

from __future__ import annotations

import os
from pathlib import Path


def files_holding(folder: Path, secret: str) -> list[str]:
    """Paths of regular files whose bytes hold the secret; what is gone meanwhile holds nothing."""
    found = list[str]()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            try:
                if (
                    path.is_file()
                    and not path.is_symlink()
                    and secret.encode() in path.read_bytes()
                ):
                    found.append(str(path))
            except FileNotFoundError:
                continue
    return found
