"""Writes the tables of inputs and outputs in terraform/README.md from the module itself.

    python scripts/terraform_tables.py [--check]

With --check nothing is written: the exit code is 1 when the tables are not what the module says.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = Path(__file__).resolve().parent.parent / "terraform"
README = MODULE / "README.md"
BLOCK = r'^{kind} "(?P<name>\w+)" {{\n(?P<body>.*?)^}}'
TABLE = r"(?<=^{heading}\n\n)(?:\|.*\n)+"


def blocks(file: str, kind: str) -> Iterator[tuple[str, str]]:
    """Name and body of each top-level block of a kind."""
    text = (MODULE / file).read_text(encoding="utf-8")
    for found in re.finditer(BLOCK.format(kind=kind), text, re.MULTILINE | re.DOTALL):
        yield found["name"], found["body"]


def argument(body: str, name: str) -> str | None:
    """The text of an argument that stands on one line of a block."""
    found = re.search(rf"^  {name} += (.+)$", body, re.MULTILINE)
    return found[1] if found else None


def cell(text: str) -> str:
    """Text of a quoted argument, safe in a table."""
    return text.strip('"').replace('\\"', '"').replace("|", "\\|").replace("<", "&lt;")


def inputs() -> str:
    """One row a variable."""
    rows = ["| variable | default | what it is, and what it costs |", "|---|---|---|"]
    for name, body in blocks("variables.tf", "variable"):
        default = argument(body, "default")
        shown = "required" if default is None else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {cell(argument(body, 'description') or '')} |")
    return "\n".join(rows) + "\n"


def outputs() -> str:
    """One row an output."""
    rows = ["| output | what it is |", "|---|---|"]
    for name, body in blocks("outputs.tf", "output"):
        rows.append(f"| `{name}` | {cell(argument(body, 'description') or '')} |")
    return "\n".join(rows) + "\n"


def written(text: str) -> str:
    """The README with its tables made anew."""
    for heading, table in (("## Inputs", inputs()), ("## Outputs", outputs())):
        pattern = re.compile(TABLE.format(heading=heading), re.MULTILINE)
        if not pattern.search(text):
            sys.exit(f"{README.name}: no table below {heading!r}")
        text = pattern.sub(lambda _, table=table: table, text)
    return text


def main() -> None:
    """Write, or check."""
    text = README.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        README.write_text(written(text), encoding="utf-8")
    elif written(text) != text:
        sys.exit("terraform/README.md is stale: run python scripts/terraform_tables.py")


if __name__ == "__main__":
    main()
