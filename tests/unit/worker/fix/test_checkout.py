"""From a candidate's workspace to its patch, and from the patch's bytes to the very same tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.result import CauseKind
from mcp_cloud_agents.worker.fix.checkout import DoesNotApply, checkout
from mcp_cloud_agents.worker.fix.collected import collect, nothing_left, suspect
from mcp_cloud_agents.worker.fix.lab import Stopped
from tests.unit.worker.fix.laboratory import Laboratory, a_laboratory

pytestmark = pytest.mark.timeout(120)
FILES = {
    "a.py": "one\ntwo\nthree\n",
    "b/c.py": "c\n",
    "b/d.py": "d\n",
    "crlf.txt": "a\r\nb\r\n",
    "no_end": "no newline",
    "link_me": "x",
    "tests/test_a.py": "assert True\n",
    "pyproject.toml": "[project]\n",
    ".gitattributes": "*.py text eol=crlf filter=evil\n",
}


def edits(top: Path) -> None:
    (top / "a.py").write_text("one\n2\nthree\n")


def empty_and_odd_names(top: Path) -> None:
    (top / "empty").touch()
    (top / 'quo"te é \\ name').write_text("x")
    (top / " leading").write_text("x")


def binary(top: Path) -> None:
    (top / "blob").write_bytes(bytes(range(256)) * 64)
    (top / "a.py").write_bytes(b"\0\xff\xfe")


def modes_and_links(top: Path) -> None:
    (top / "a.py").chmod(0o755)
    (top / "to_a").symlink_to("a.py")
    (top / "link_me").unlink()
    (top / "link_me").symlink_to("a.py")


def file_to_folder_and_back(top: Path) -> None:
    (top / "a.py").unlink()
    (top / "a.py").mkdir()
    (top / "a.py/x").write_text("x")
    shutil.rmtree(top / "b")
    (top / "b").write_text("a file now")


def line_ends(top: Path) -> None:
    (top / "crlf.txt").write_bytes(b"a\r\nB\r\n\n")
    (top / "no_end").write_bytes(b"still no newline")
    (top / "b/c.py").write_bytes(b"c  \t\n\r\n\n\n")


def moves_and_deletes(top: Path) -> None:
    (top / "b/c.py").rename(top / "moved.py")
    (top / "b/d.py").unlink()


EDITS: tuple[Callable[[Path], None], ...] = (
    edits,
    empty_and_odd_names,
    binary,
    modes_and_links,
    file_to_folder_and_back,
    line_ends,
    moves_and_deletes,
)


@pytest.fixture
def laboratory(open_path: Path) -> Laboratory:
    return a_laboratory(open_path, FILES)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_the_bytes_of_a_patch_give_its_tree(
    laboratory: Laboratory, edit: Callable[[Path], None]
) -> None:
    lab, (folder, tree) = laboratory.lab, laboratory.candidate()
    edit(Path(tree.workspace))
    collected = collect(lab, folder)
    found = suspect(folder, collected, {})
    assert found is not None, collected
    assert collected.protected == ()
    with checkout(lab, lab.next_folder("fresh"), found.change) as fresh:
        assert fresh.touched() == frozenset()
        assert _seen(Path(fresh.workspace)) == _seen(Path(tree.workspace))


def test_a_patch_that_gives_another_tree_does_not_apply(laboratory: Laboratory) -> None:
    lab, (folder, tree) = laboratory.lab, laboratory.candidate()
    edits(Path(tree.workspace))
    found = suspect(folder, collect(lab, folder), {})
    assert found is not None
    forged = replace(found.change, diff=found.change.diff.replace(b"+2", b"+3"))
    with pytest.raises(DoesNotApply, match="The patch gives the tree"):
        checkout(lab, lab.next_folder("fresh"), forged)
    with pytest.raises(DoesNotApply):
        checkout(lab, lab.next_folder("fresh"), replace(found.change, diff=b"no patch"))


def test_protected_paths_are_put_back_whatever_was_done_to_them(laboratory: Laboratory) -> None:
    lab, (folder, tree) = laboratory.lab, laboratory.candidate()
    top = Path(tree.workspace)
    edits(top)
    shutil.rmtree(top / "tests")
    (top / "tests").write_text("a file in place of the tests")
    (top / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-k nothing'\n")
    (top / "conftest.py").write_text("import os; os._exit(0)")
    (top / "b/sitecustomize.py").write_text("import os; os._exit(0)")
    collected = collect(lab, folder)
    assert collected.patch is not None
    assert collected.patch.paths == ("a.py",)
    wanted = {"b/sitecustomize.py", "conftest.py", "pyproject.toml", "tests/test_a.py"}
    assert wanted <= {*collected.protected}
    found = suspect(folder, collected, {})
    assert found is not None
    with checkout(lab, lab.next_folder("fresh"), found.change) as fresh:
        assert (Path(fresh.workspace) / "tests/test_a.py").read_text() == FILES["tests/test_a.py"]


def test_a_change_of_protected_files_alone_leaves_nothing_to_judge(laboratory: Laboratory) -> None:
    lab, (folder, tree) = laboratory.lab, laboratory.candidate()
    (Path(tree.workspace) / "tests/test_a.py").unlink()
    collected = collect(lab, folder)
    assert suspect(folder, collected, {}) is None
    evidence = nothing_left(collected)
    assert evidence is not None
    assert evidence.rejected
    assert evidence.protected == ("tests/test_a.py",)


def test_a_change_that_was_collected_before_is_collected_as_it_is_now(
    laboratory: Laboratory,
) -> None:
    lab, (folder, tree) = laboratory.lab, laboratory.candidate()
    top = Path(tree.workspace)
    edits(top)
    (top / "scratch.py").write_text("x")
    assert collect(lab, folder).patch is not None
    (top / "scratch.py").unlink()
    Path(folder, "git", "index.lock").touch()  # of a git that was killed
    after = collect(lab, folder)
    assert after.patch is not None
    assert after.patch.paths == ("a.py",)
    (top / "a.py").write_text(FILES["a.py"])
    assert collect(lab, folder).patch is None


def test_what_a_run_changed_in_its_tree_is_seen(laboratory: Laboratory) -> None:
    with checkout(laboratory.lab, laboratory.lab.next_folder("fresh")) as tree:
        top = Path(tree.workspace)
        (top / "tests/test_a.py").write_text("")
        (top / "b/c.py").unlink()
        os.utime(top / "a.py")
        assert tree.touched() == {"tests/test_a.py", "b/c.py"}
        assert tree.names_in("b") == {"c.py", "d.py"}
    assert not top.exists()


def test_a_cancel_and_a_deadline_end_a_checkout(laboratory: Laboratory) -> None:
    late = replace(laboratory.lab, deadline=0.0)
    with pytest.raises(Stopped) as stopped:
        checkout(late, late.next_folder("late"))
    assert stopped.value.kind is CauseKind.TIMEOUT
    laboratory.desk.asked = True
    with pytest.raises(Stopped) as stopped:
        laboratory.candidate()
    assert stopped.value.kind is CauseKind.CANCELLED


def _seen(top: Path) -> dict[str, tuple[int, bytes | str]]:
    """Mode and content of each file and link."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(top.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(top))] = (0, os.readlink(path))
        elif path.is_file():
            mode = path.stat().st_mode & 0o111
            found[str(path.relative_to(top))] = (mode, path.read_bytes())
    return found
