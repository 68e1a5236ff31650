"""Looking for a secret in bytes, in every form it may have, without the redactor's own code."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

_ANSI = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")


def forms(value: str) -> dict[str, bytes]:
    """What is looked for, by name."""
    raw = value.encode()
    found = {
        "plain": raw,
        "url": quote(value, safe="").encode(),
        "form": quote_plus(value).encode(),
        "json": json.dumps(value)[1:-1].encode(),
        "json as UTF-8": json.dumps(value, ensure_ascii=False)[1:-1].encode(),
        "xml": html.escape(value).encode(),
        "hex": raw.hex().encode(),
    }
    for before in range(3):
        after = -(before + len(raw)) % 3
        whole = base64.b64encode(b"x" * before + raw + b"y" * after)
        inner = whole[4 if before else 0 : len(whole) - (4 if after else 0)]
        found[f"base64 {before}"] = inner
        found[f"urlsafe {before}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    return found


def shown(data: bytes, value: str) -> list[str]:
    """Names of the forms of the value that stand in the data, wherever they are wrapped."""
    views = (data, _ANSI.sub(b"", data))
    plain = [b"".join(one.split()).lower() for one in views]
    looked_for = {name: b"".join(form.split()).lower() for name, form in forms(value).items()}
    return [name for name, form in looked_for.items() if any(form in one for one in plain)]


def leaks(folder: Path, value: str) -> dict[str, list[str]]:
    """Files below a folder that show the value, with its forms; names of files count too."""
    found = dict[str, list[str]]()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_symlink() or not path.is_file():
                continue
            if there := shown(os.fsencode(name) + b"\n" + path.read_bytes(), value):
                found[str(path.relative_to(folder))] = there
    return found


SPILL = """
import base64, binascii, html, json, os, sys, urllib.parse

def pieces(value):
    raw = value.encode()
    yield raw
    yield urllib.parse.quote(value, safe="").encode()
    yield urllib.parse.quote_plus(value).encode()
    yield json.dumps(value).encode()
    yield json.dumps(value, ensure_ascii=False).encode()
    yield html.escape(value).encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for before in (b"", b"x", b"xy"):
        yield base64.b64encode(before + raw + b"yy")
        yield base64.urlsafe_b64encode(before + raw + b"yy")
    yield base64.encodebytes(b"long" * 20 + raw + b"tail" * 20)

def split(piece):
    yield piece
    half = len(piece) // 2
    yield piece[:half] + b"\\n" + piece[half:]
    yield piece[:half] + b"\\r\\n        " + piece[half:]
    yield b"".join(b"\\x1b[3%dm%c" % (i % 8, c) for i, c in enumerate(piece)) + b"\\x1b[0m"
    yield b" ".join(piece[i:i + 4] for i in range(0, len(piece), 4))

def everything(value):
    return [one for piece in pieces(value) for one in split(piece)]

def spill(value):
    for number, one in enumerate(everything(value)):
        fd = 1 + number % 2
        os.write(fd, b"[%d " % number)
        step = 1 if number % 3 == 0 else 7
        for at in range(0, len(one), step):
            os.write(fd, one[at:at + step])
        os.write(fd, b" %d]\\n" % number)

if __name__ == "__main__":
    for name in sys.argv[1:]:
        value = os.environ.get(name)
        print(name, "is", "there" if value else "missing", flush=True)
        if value:
            spill(value)
"""
"""A program that pushes variables through its output, in every form and in pieces."""
