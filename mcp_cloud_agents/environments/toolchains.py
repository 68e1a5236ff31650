"""Finding the person's Python, node, go and rust, and showing jobs no more of them than needed.

Each program is asked for its own real place: that looks through shims (pyenv, nvm, volta, asdf,
mise, rustup) without knowing them. It runs in `/` with a scrubbed environment, so that nothing of
a repository steers it.
"""

from __future__ import annotations

import glob
import os
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.agent_programs import agent_program
from mcp_cloud_agents.environments.host import Host, Want
from mcp_cloud_agents.environments.reach import barred, within
from mcp_cloud_agents.environments.versions import release, satisfies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mcp_cloud_agents.environments.host import Finder

_PROBE_TIMEOUT_S = 10
_WHOLE_STORES = ("/nix/store", "/home/linuxbrew/.linuxbrew", "/opt/homebrew")
"""Package stores whose programs link into one another: shown whole, they hold no secrets."""
_PRIVATE_NAMES = (".ssh", ".aws", ".gnupg", ".config", ".netrc", "share/keyrings", "state")
"""What marks a folder as a home (or as `~/.local`), whoever's it is."""
_PROGRAMS = {"python": "python3", "node": "node", "go": "go", "rust": "rustc"}
_ASKS: dict[str, tuple[tuple[str, ...], ...]] = {
    "python": (
        (
            *("-I", "-S", "-c"),
            "import sys; print(sys.base_prefix); print('%d.%d.%d' % sys.version_info[:3])",
        ),
    ),
    "node": (("-p", "`${process.execPath}\\n${process.version}`"),),
    "go": (("env", "GOROOT", "GOVERSION"),),
    "rust": (("--print", "sysroot"), ("--version",)),
}
"""How each program is asked for its folder and its version."""
_NEWEST_MINOR, _OLDEST_MINOR = 15, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look, as whom, and for whom."""

    search_path: str
    """The person's PATH."""
    home: str
    avoid: str = ""
    """Folder whose programs are never run: the worktree, whose content is untrusted."""
    job_uid: int | None = None
    """Host user of the jobs when it is another one than ours; what he cannot reach is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A program's own account of itself."""

    name: str
    version: str
    prefix: str
    """The folder that holds all of it."""


def on_this_machine(search: Search) -> Finder:
    """Jobs run here: what they are given is found here."""

    def finder(wants: Sequence[Want], *, avoid: str) -> Host:
        return find(wants, replace(search, avoid=avoid))

    return finder


def find(wants: Sequence[Want], search: Search) -> Host:
    """The toolchains that jobs can use, looked for side by side; cached in this process.

    A wanted version that is not there leaves the next best one in, so that the tool itself can say
    what is missing. Python is never missing: /usr's is the last resort.

    Raises:
        ModelUnusable: the program of an engine is not installed, or jobs cannot reach it.
    """
    agents = [agent_program(want.engine, search) for want in wants if want.engine]
    languages = [want for want in wants if not want.engine]
    if not languages:
        return Host(image=image(), toolchains=tuple(agents))
    with ThreadPoolExecutor(max_workers=len(languages)) as pool:
        answers = list(pool.map(partial(_find, search=search), languages))
    return Host(
        image=image(),
        toolchains=(*(found for found, _ in answers if found is not None), *agents),
        notes=tuple(note for _, notes in answers for note in notes),
    )


@lru_cache(maxsize=1)
def image() -> str:
    """Names the base system that environments are built against; no program is started."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {"ID": platform.system().lower()}
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "libc unknown"
    python = os.path.basename(os.path.realpath("/usr/bin/python3"))
    name = f"{system.get('ID', 'linux')} {system.get('VERSION_ID', '')}".strip()
    return f"{name}, {platform.machine()}, {libc}, {python}"


@lru_cache(maxsize=64)
def _find(want: Want, search: Search) -> tuple[Toolchain | None, tuple[str, ...]]:
    usable: list[_Found] = []
    notes: list[str] = []
    for found in _candidates(want, search):
        if (problem := _problem(found, search)) is not None:
            note = f"{found.name} {found.version} at {found.prefix} is not used: {problem}"
            notes += [note] if note not in notes else []
            continue
        usable.append(found)
        if satisfies(found.version, want.version):
            return _toolchain(found), tuple(notes)
    return (_toolchain(usable[0]) if usable else None), tuple(notes)


def _candidates(want: Want, search: Search) -> Iterator[_Found]:
    """Each installation, the one that the person would get first."""
    for program in _programs(want, search):
        lines = [_ask(program, asks, search) for asks in _ASKS[want.name]]
        match "\n".join(lines).split("\n"):
            case [place, version] if os.path.isabs(place) and release(version):
                prefix = os.path.realpath(place)
                if want.name == "node":  # it tells its program, bin/node
                    prefix = os.path.dirname(os.path.dirname(prefix))
                yield _Found(
                    name=want.name, version=".".join(map(str, release(version))), prefix=prefix
                )
            case _:  # not installed, or a shim for nothing
                continue


def _programs(want: Want, search: Search) -> Iterator[str]:
    name = _PROGRAMS[want.name]
    yield from _which(name, search)
    if want.name != "python":
        return
    yield "/usr/bin/python3"
    for minor in range(_NEWEST_MINOR, _OLDEST_MINOR - 1, -1):
        if satisfies(f"3.{minor}.99", want.version) or satisfies(f"3.{minor}.0", want.version):
            yield from _which(f"python3.{minor}", search, shims=False)
            for pattern in _version_folders(search):
                yield from sorted(glob.glob(f"{pattern}/bin/python3.{minor}"), reverse=True)


def _version_folders(search: Search) -> tuple[str, ...]:
    """Where version managers keep Pythons that are installed but not the person's default."""
    shims = [
        os.path.dirname(folder)
        for folder in search.search_path.split(":")
        if os.path.isabs(folder) and os.path.basename(folder) == "shims"
    ]
    roots = dict.fromkeys([*shims, os.path.join(search.home, ".pyenv")])
    return (
        *(os.path.join(glob.escape(root), "versions", "*") for root in roots),
        os.path.join(glob.escape(search.home), ".local/share/uv/python/cpython-*"),
    )


def _which(name: str, search: Search, *, shims: bool = True) -> Iterator[str]:
    """The first program of this name on the person's PATH.

    Args:
        name: the program.
        search: where to look.
        shims: whether a version manager's shim will do; for a version that is not its default it
            only fails, slowly.
    """
    for folder in search.search_path.split(":"):
        if not shims and os.path.basename(folder) == "shims":
            continue
        if not os.path.isabs(folder) or (search.avoid and within(folder, search.avoid)):
            continue
        program = os.path.join(folder, name)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            yield program
            return


def _ask(program: str, arguments: tuple[str, ...], search: Search) -> str:
    """The answer; empty when it fails."""
    try:
        done = subprocess.run(
            [program, *arguments],
            cwd="/",
            env={
                "PATH": search.search_path,
                "HOME": search.home,
                "LANG": "C.UTF-8",
                "GOTOOLCHAIN": "local",
                "RUSTUP_AUTO_INSTALL": "0",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


def _problem(found: _Found, search: Search) -> str | None:
    """Why jobs cannot or may not see this installation."""
    prefix = found.prefix
    if within(prefix, "/usr"):
        return None
    if prefix == "/" or within(search.home, prefix):
        return "it lies directly in a home folder, which is never shown to jobs"
    if any(os.path.lexists(os.path.join(prefix, name)) for name in _PRIVATE_NAMES):
        return "its folder holds private files as well"
    if search.avoid and within(prefix, search.avoid):
        return "it lies in the worktree"
    if search.job_uid is not None and (stop := barred(prefix, search.job_uid)) is not None:
        return f"jobs run as user {search.job_uid}, who cannot pass {stop}"
    return None


def _toolchain(found: _Found) -> Toolchain:
    binds: tuple[Bind, ...] = ()
    if not within(found.prefix, "/usr"):
        store = next((one for one in _WHOLE_STORES if within(found.prefix, one)), found.prefix)
        binds = (Bind(host=store, inside=store),)
    return Toolchain(
        name=found.name,
        version=found.version,
        binds=binds,
        path=(os.path.join(found.prefix, "bin"),),
    )
