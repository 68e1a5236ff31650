"""Toolchains in a home folder, as version managers put them there: seen by jobs, one by one.

The programs are the machine's own, laid out as nvm, pyenv and the go project's archive do it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.suites import fill, program
from tests.e2e.wire import Connect, Repository, Wire

pytestmark = pytest.mark.timeout(120)


def nvm(home: Path) -> Path:
    place = home / ".nvm/versions/node/v20.0.0"
    (place / "bin").mkdir(parents=True)
    shutil.copy2(program("node"), place / "bin/node")
    return place


def go_archive(home: Path) -> Path:
    place = home / "sdk/go"
    asked = subprocess.run([program("go"), "env", "GOROOT"], capture_output=True, check=True)
    source = Path(asked.stdout.decode().strip())
    (place / "bin").mkdir(parents=True)
    shutil.copy2(os.path.realpath(source / "bin/go"), place / "bin/go")
    for name in ("pkg", "src", "VERSION"):
        if (source / name).exists():
            (place / name).symlink_to(os.path.realpath(source / name))
    return place


def pyenv(home: Path) -> Path:
    """With a shim, which is what stands in PATH."""
    source = Path(program("python3"))
    place = home / ".pyenv/versions/own"
    for folder in (place / "bin", place / "lib", home / ".pyenv/shims"):
        folder.mkdir(parents=True)
    shutil.copy2(source, place / "bin" / source.name)
    (place / "bin/python3").symlink_to(source.name)
    (place / "lib" / source.name).symlink_to(f"/usr/lib/{source.name}")
    shim = home / ".pyenv/shims/python3"
    shim.write_text(f'#!/bin/sh\nexec "{place}/bin/python3" "$@"\n')
    shim.chmod(0o755)
    return place


CASES = [
    pytest.param(nvm, "bin", {"package.json": "{}"}, "node -p process.execPath", id="nvm"),
    pytest.param(
        go_archive, "bin", {"go.mod": "module a\n\ngo 1.18\n"}, "go env GOROOT", id="go archive"
    ),
    pytest.param(
        pyenv,
        "../../shims",
        {"a.py": ""},
        "python3 -c 'import json, sys; print(sys.base_prefix)'",
        id="pyenv",
    ),
]


@pytest.mark.parametrize(("lay_out", "on_path", "files", "command"), CASES)
def test_a_toolchain_of_a_home_folder_is_all_that_jobs_see_of_it(
    lay_out: Callable[[Path], Path],
    on_path: str,
    files: dict[str, str],
    command: str,
    repository: Repository,
    connect: Connect,
) -> None:
    home = repository.path.parent / "home"
    place = lay_out(home)
    (home / "secret").write_text("hidden")
    (place.parent / "sibling").mkdir()
    home.chmod(0o711)
    repository.env["PATH"] = f"{os.path.normpath(place / on_path)}:{repository.env['PATH']}"
    fill(repository, files, {})
    look = f"ls -A {home} {place.parent}; touch {place}/new || echo no"
    said = said_by(connect(), f"{command}; {look}")
    top = place.relative_to(home).parts[0]
    assert said[0].startswith(str(place))
    assert said[1:5] == [f"{home}:", top, f"{place.parent}:", place.name]
    assert said[5:] == [f"touch: cannot touch '{place}/new': Read-only file system", "no"]


def said_by(wire: Wire, command: str) -> list[str]:
    """What the command prints, without empty lines."""
    answer = wire.call("run_in_sandbox", {"command": f"echo begins; {command}"})
    done = wire.finished(answer["job_id"])
    lines = [line for line in done["log"]["tail"].splitlines() if line]
    return lines[lines.index("begins") + 1 :]


@pytest.mark.skipif(os.geteuid() != 0, reason="only as root do jobs run as another user")
def test_a_toolchain_that_the_jobs_user_cannot_reach_is_told(
    repository: Repository, connect: Connect
) -> None:
    home = repository.path.parent / "home"
    place = nvm(home)
    home.chmod(0o700)
    repository.env["PATH"] = f"{place}/bin:{repository.env['PATH']}"
    fill(repository, {"package.json": '{"dependencies": {"a": "file:./a"}}'}, {})
    wire = connect()
    answer = wire.call("run_in_sandbox", {"command": "node -p process.execPath"})
    done = wire.finished(answer["job_id"])
    told = " ".join([*done.get("notes", []), done.get("error", {}).get("hint", "")])
    assert f"who cannot pass {home}" in told, done
