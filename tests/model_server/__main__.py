"""The server as a program: `python -m tests.model_server FILE`; it ends when its input does.

FILE is TOML with a table of scripts, or the same as JSON: `[scripts.NAME]` with `turns`. The first
line on stdout is JSON with the server's `url`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from tests.model_server.script import Script
from tests.model_server.server import model_server


class ScriptFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's shape."""

    scripts: dict[str, Script]


def read_scripts(path: Path) -> dict[str, Script]:
    """The scripts of a file."""
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    return decode(path.read_bytes(), type=ScriptFile).scripts


def main() -> int:
    """Serve until the input ends."""
    with model_server(read_scripts(Path(sys.argv[1]))) as server:
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
