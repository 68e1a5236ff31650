"""Toolchains on the host: the real place behind shims, and what is never shown to jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import Bind
from mcp_cloud_agents.domain.setup import Toolchain
from mcp_cloud_agents.environments.host import Host, Want
from mcp_cloud_agents.environments.toolchains import Search, find, image


def a_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def a_node(prefix: Path, version: str = "v20.1.0") -> Path:
    return a_program(prefix / "bin/node", f"echo {prefix}/bin/node; echo {version}")


def a_python(prefix: Path, version: str) -> Path:
    minor = ".".join(version.split(".")[:2])
    return a_program(prefix / f"bin/python{minor}", f"echo {prefix}; echo {version}")


def a_search(home: Path, *folders: Path, avoid: str = "", job_uid: int | None = None) -> Search:
    path = ":".join(str(folder) for folder in folders)
    return Search(search_path=f"{path}:/usr/bin:/bin", home=str(home), avoid=avoid, job_uid=job_uid)


def shown(host: Host) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (one.name, one.version, tuple(bind.host for bind in one.binds)) for one in host.toolchains
    ]


def test_a_toolchain_outside_usr_is_shown_at_its_own_path(open_path: Path) -> None:
    a_node(open_path / "opt/node-20")
    host = find([Want(name="node")], a_search(open_path, open_path / "opt/node-20/bin"))
    prefix = f"{open_path}/opt/node-20"
    assert host == Host(
        image=image(),
        toolchains=(
            Toolchain(
                name="node",
                version="20.1.0",
                binds=(Bind(host=prefix, inside=prefix),),
                path=(f"{prefix}/bin",),
            ),
        ),
    )


def test_the_place_behind_a_shim_is_found(open_path: Path) -> None:
    real = a_node(open_path / "versions/20")
    a_program(open_path / "shims/node", f'exec {real} "$@"')
    host = find([Want(name="node")], a_search(open_path, open_path / "shims"))
    assert shown(host) == [("node", "20.1.0", (f"{open_path}/versions/20",))]


def test_the_systems_python_needs_no_bind(open_path: Path) -> None:
    host = find([Want(name="python")], a_search(open_path))
    assert [(one.name, one.binds, one.path) for one in host.toolchains] == [
        ("python", (), ("/usr/bin",))
    ]


def test_a_wanted_version_is_looked_for_among_the_installed_ones(open_path: Path) -> None:
    for version in ("3.8.1", "3.14.2", "3.13.0"):
        a_python(open_path / ".pyenv/versions" / version, version)
    a_python(open_path / ".local/share/uv/python/cpython-3.12.9-linux", "3.12.9")
    search = a_search(open_path, open_path / ".pyenv/shims")
    found = [
        shown(find([Want(name="python", version=version)], search))[0][1]
        for version in ("==3.14.*", "<3.14,>=3.13", "==3.12.*", "==3.8.*")
    ]
    assert found == ["3.14.2", "3.13.0", "3.12.9", "3.8.1"]


def test_an_unmet_version_leaves_the_persons_own_python(open_path: Path) -> None:
    host = find([Want(name="python", version=">=3.99")], a_search(open_path))
    assert [one.path for one in host.toolchains] == [("/usr/bin",)]


def test_what_is_not_installed_is_left_out_without_a_word(open_path: Path) -> None:
    search = Search(search_path=f"{open_path}", home=f"{open_path}")
    assert find([Want(name="go"), Want(name="rust")], search) == Host(image=image())


def test_a_home_folder_is_never_shown(open_path: Path) -> None:
    a_node(open_path)
    host = find([Want(name="node")], a_search(open_path, open_path / "bin"))
    assert host == Host(
        image=image(),
        notes=(
            f"node 20.1.0 at {open_path} is not used: "
            "it lies directly in a home folder, which is never shown to jobs",
        ),
    )


@pytest.mark.parametrize("private", [".ssh", ".config", "share/keyrings", "state"])
def test_a_folder_with_private_files_is_never_shown(private: str, open_path: Path) -> None:
    a_node(open_path / "other")
    (open_path / "other" / private).mkdir(parents=True)
    host = find([Want(name="node")], a_search(open_path / "home", open_path / "other/bin"))
    assert (host.toolchains, len(host.notes)) == ((), 1)


def test_programs_of_the_worktree_are_not_run(open_path: Path) -> None:
    mark = open_path / "was-run"
    a_program(open_path / "tree/node_modules/.bin/node", f"touch {mark}")
    folder = open_path / "tree/node_modules/.bin"
    find([Want(name="node")], a_search(open_path, folder, avoid=f"{open_path}/tree"))
    assert not mark.exists()


def test_a_relative_folder_of_path_is_not_searched(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(open_path / "bin/go", f"touch {open_path}/was-run")
    monkeypatch.chdir(open_path)
    find([Want(name="go")], Search(search_path="bin:.::", home=f"{open_path}/h"))
    assert not (open_path / "was-run").exists()


def test_probes_run_in_the_root_folder_with_a_scrubbed_environment(
    open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET", "x")
    a_program(open_path / "bin/node", f"env > {open_path}/env; pwd >> {open_path}/env")
    find([Want(name="node")], a_search(open_path / "h", open_path / "bin"))
    seen = (open_path / "env").read_text().splitlines()
    assert "SOME_SECRET=x" not in seen
    assert seen[-1] == "/"


def test_a_toolchain_that_the_jobs_user_cannot_reach_is_left_out_and_told(open_path: Path) -> None:
    a_node(open_path / "closed/node")
    (open_path / "closed").chmod(0o700)
    search = a_search(open_path / "h", open_path / "closed/node/bin", job_uid=os.getuid() + 77)
    assert find([Want(name="node")], search) == Host(
        image=image(),
        notes=(
            f"node 20.1.0 at {open_path}/closed/node is not used: "
            f"jobs run as user {os.getuid() + 77}, who cannot pass {open_path}/closed",
        ),
    )


@pytest.mark.parametrize("answer", ["exit 1", "echo", "echo relative; echo 1.0", "echo /x; echo y"])
def test_a_program_with_a_strange_answer_counts_as_absent(answer: str, open_path: Path) -> None:
    a_program(open_path / "bin/node", answer)
    search = Search(search_path=f"{open_path}/bin", home=f"{open_path}/h")
    assert find([Want(name="node")], search) == Host(image=image())


def test_nothing_is_looked_for_when_nothing_is_wanted(open_path: Path) -> None:
    assert find([], a_search(open_path)) == Host(image=image())
