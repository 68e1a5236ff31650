"""Servers of a measurement: ours and the bare one of the SDK, over the same wire."""

from __future__ import annotations

import compileall
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.e2e.wire import Wire

BARE = """\
from mcp.server import MCPServer

server = MCPServer("bare")


@server.tool()
def echo(text: str) -> str:
    "Give the text back."
    return text


server.run()
"""
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "0"},
}
OURS = (str(Path(sys.executable).with_name("mcp-cloud-agents")), "serve")


@contextlib.contextmanager
def scratch() -> Generator[Path]:
    """A folder that the user of the jobs may pass through, as in `tests/conftest.py`."""
    folder = Path(tempfile.mkdtemp(prefix="mca-bench-")).resolve()
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def compile_all() -> None:
    """Bytecode for our package and for all installed ones, as an installer would leave it."""
    spec = find_spec("mcp_cloud_agents")
    installed = find_spec("mcp")
    assert spec is not None
    assert spec.origin is not None
    assert installed is not None
    assert installed.origin is not None
    for folder in (Path(spec.origin).parent, Path(installed.origin).parents[1]):
        compileall.compile_dir(folder, quiet=2, workers=0)


@contextlib.contextmanager
def serving(
    cwd: Path, env: Mapping[str, str], argv: Sequence[str] = OURS, *, modern: bool = True
) -> Generator[Wire]:
    """A server process, killed at the end."""
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Wire(process, modern=modern)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def greet(wire: Wire) -> None:
    """The first question of either era, answered."""
    if wire.modern:
        wire.answer(wire.send("server/discover"))
        return
    wire.answer(wire.send("initialize", HELLO))
