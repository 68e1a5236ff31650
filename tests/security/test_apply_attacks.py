"""Attacks of a job on the checkout that its patch is applied to: each one is a patch, or a lie."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.applied import Change
from mcp_cloud_agents.domain.errors import (
    AgentsError,
    BranchUnusable,
    PatchConflict,
    PatchDamaged,
    ProtectedPaths,
)
from mcp_cloud_agents.domain.job import Snapshot
from mcp_cloud_agents.snapshots.apply import files as files_module
from tests.job_patches import Checkout, File, forged, git, link

OUTSIDE = "outside\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    made.commit({"a.txt": "a\n", "dir/b.txt": "b\n", ".gitignore": "build\nbuild/\n"})
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.txt").write_text(OUTSIDE)
    return made


def assert_refused(checkout: Checkout, change: Change, kind: type[AgentsError]) -> None:
    """In every mode that writes, and the checkout stays as it is, byte for byte."""
    before, git_dir = checkout.content(), checkout.git_dir()
    outside = sorted(os.listdir(checkout.folder / "outside"))
    for mode in ("worktree", "branch"):
        with pytest.raises(kind):
            checkout.apply(change, mode)
    assert (checkout.content(), checkout.git_dir()) == (before, git_dir)
    assert sorted(os.listdir(checkout.folder / "outside")) == outside
    assert (checkout.folder / "outside" / "b.txt").read_text() == OUTSIDE


def adding(path: str, text: str = "x", mode: str = "100644") -> bytes:
    """The text of a patch that adds one file."""
    return (
        f"diff --git a/{path} b/{path}\nnew file mode {mode}\nindex {'0' * 40}..{'1' * 40}\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{text}\n"
    ).encode()


def tree_with(checkout: Checkout, base: Snapshot, entries: bytes) -> str:
    """A tree with whatever names, as only plumbing makes one, where the private git dir reads."""
    return git(checkout.top, "mktree", "-z", stdin=entries).strip()


# Names


@pytest.mark.parametrize(
    "path",
    [
        "../outside/x",
        "dir/../../outside/x",
        "/tmp/mca-absolute",
        ".git/hooks/pre-commit",
        ".GIT/config",
        ".git /config",
        "git~1/config",
        ".g\u200cit/config",
        ".git::$INDEX_ALLOCATION/config",
        "dir/.git/config",
        "dir/./x",
    ],
)
def test_attack_names_that_leave_the_tree_or_mean_something_to_git(
    checkout: Checkout, path: str
) -> None:
    base = checkout.take()
    assert_refused(checkout, forged(base, adding(path), base.tree), PatchDamaged)


def test_attack_names_with_control_characters(checkout: Checkout) -> None:
    change = checkout.job({"new\nline": "x"})
    assert_refused(checkout, change, PatchDamaged)
    assert_refused(checkout, checkout.job({"bell\x07": "x"}), PatchDamaged)


def test_attack_a_nested_repository_as_a_gitlink(checkout: Checkout) -> None:
    data = adding("sub", mode="160000").replace(b"+x\n", b"+Subproject commit " + b"1" * 40 + b"\n")
    base = checkout.take()
    assert_refused(checkout, forged(base, data, base.tree), PatchDamaged)


# Links


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../outside", "dir/../../outside", ".git/config", "dir/../.git"]
)
def test_attack_links_that_leave_the_tree(checkout: Checkout, target: str) -> None:
    assert_refused(checkout, checkout.job({"link": link(target)}), PatchDamaged)


def test_attack_a_file_behind_a_link_of_the_same_patch(checkout: Checkout) -> None:
    data = adding("out", "../outside", "120000") + adding("out/x")
    base = checkout.take()
    assert_refused(checkout, forged(base, data, base.tree), PatchDamaged)


def test_attack_a_link_through_an_ignored_link_of_the_user(checkout: Checkout) -> None:
    change = checkout.job({"link": link("build/b.txt")})
    (checkout.top / "build").symlink_to("../outside")
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert not (checkout.top / "link").is_symlink()


def test_attack_through_an_ignored_folder_that_is_a_link(checkout: Checkout) -> None:
    change = checkout.job({"build/b.txt": "evil\n", "build/new.txt": "evil\n"})
    (checkout.top / "build").symlink_to("../outside")
    before = checkout.content()
    assert [path for path, _ in checkout.apply(change, "check").conflicts] == [
        "build/b.txt",
        "build/new.txt",
    ]
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert checkout.content() == before
    assert os.listdir(checkout.folder / "outside") == ["b.txt"]
    assert (checkout.folder / "outside" / "b.txt").read_text() == OUTSIDE


def test_attack_into_a_repository_of_its_own(checkout: Checkout) -> None:
    change = checkout.job({"build/x/hooks.txt": "evil\n"})
    git(checkout.top, "init", "-q", "build/x")
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert not (checkout.top / "build/x/hooks.txt").exists()


def test_attack_a_folder_swapped_for_a_link_between_check_and_write(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = checkout.job({"dir/b.txt": "evil\n", "dir/new.txt": "evil\n", "a.txt": "evil\n"})
    swapped: list[bool] = []
    fsync = os.fsync

    def swap_then_sync(fd: int) -> None:
        """The moment after the first new file was staged."""
        if not swapped and os.path.lexists(checkout.folder / "state" / "snapshots"):
            staged = [name for name in os.listdir(checkout.top) if name.startswith(".mca-")]
            if staged:
                swapped.append(True)
                (checkout.top / "dir").rename(checkout.folder / "moved")
                (checkout.top / "dir").symlink_to("../outside")
        fsync(fd)

    monkeypatch.setattr(files_module.os, "fsync", swap_then_sync)
    with pytest.raises(PatchConflict):
        checkout.apply(change)
    assert swapped
    assert (checkout.top / "a.txt").read_text() == "a\n"
    assert os.listdir(checkout.folder / "outside") == ["b.txt"]
    assert (checkout.folder / "outside" / "b.txt").read_text() == OUTSIDE
    assert (checkout.folder / "moved" / "b.txt").read_text() == "b\n"


# Lies


def test_attack_a_tree_that_the_bytes_do_not_make(checkout: Checkout) -> None:
    good, evil = checkout.job({"a.txt": "good\n"}), checkout.job({"a.txt": "evil\n"})
    lie = replace(good, patch=replace(good.patch, tree=evil.patch.tree))
    assert_refused(checkout, lie, PatchDamaged)


def test_attack_a_base_that_is_not_the_jobs(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": "job\n"})
    other = replace(change.patch, base_tree=change.patch.tree)
    assert_refused(checkout, replace(change, patch=other), PatchDamaged)


@pytest.mark.parametrize("tree", ["HEAD", "--help", "", "../x", "0" * 39])
def test_attack_a_tree_id_that_is_an_option_or_a_name(checkout: Checkout, tree: str) -> None:
    change = checkout.job({"a.txt": "job\n"})
    lie = replace(change, patch=replace(change.patch, tree=tree))
    assert_refused(checkout, lie, PatchDamaged)


def test_attack_a_commit_id_that_asks_git_for_something_else(checkout: Checkout) -> None:
    change = checkout.job({"a.txt": "job\n"})
    for name in ("HEAD", "--help", "x\ncontents HEAD:a.txt"):
        origin = replace(change.snapshot.origin, base_commit=name)
        lie = replace(change, snapshot=replace(change.snapshot, origin=origin))
        assert_refused(checkout, lie, PatchDamaged)


def test_attack_bytes_that_are_no_patch(checkout: Checkout) -> None:
    base = checkout.take()
    for data in (b"\0" * 100, b"diff --git a/a b/a\n", b"@@ -1 +1 @@\n-a\n+b\n"):
        assert_refused(checkout, forged(base, data, base.tree), PatchDamaged)


def test_attack_a_few_bytes_that_claim_to_unpack_to_very_many(checkout: Checkout) -> None:
    base = checkout.take()
    data = (
        f"diff --git a/bomb b/bomb\nnew file mode 100644\nindex {'0' * 40}..{'1' * 40}\n"
        "GIT binary patch\nliteral 999999999999\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n"
    ).encode()
    assert_refused(checkout, forged(base, data, base.tree), PatchDamaged)


# Code of the tree


def plant(checkout: Checkout, ran: Path) -> None:
    """Every program that the user's repository could be made to start leaves a trace."""
    trap = checkout.folder / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {ran}\ncat\n")
    trap.chmod(0o755)
    for key in (
        *("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "filter.evil.process"),
        *("diff.evil.textconv", "diff.external", "merge.evil.driver", "core.editor"),
    ):
        git(checkout.top, "config", key, str(trap))
    for hook in (
        *("post-index-change", "reference-transaction", "pre-commit", "post-checkout"),
        *("post-commit", "post-merge", "pre-auto-gc", "commit-msg", "prepare-commit-msg"),
    ):
        shutil.copy(trap, checkout.top / ".git" / "hooks" / hook)


def test_attack_hooks_filters_and_drivers_never_run(checkout: Checkout) -> None:
    ran = checkout.folder / "ran"
    checkout.commit({".gitattributes": "*.txt merge=evil diff=evil\n"})
    change = checkout.job({"a.txt": "a\njob\n", "new.txt": "n\n"})
    plant(checkout, ran)
    checkout.write({"a.txt": "mine\n"})
    with pytest.raises(PatchConflict):  # the driver would have made something of it
        checkout.apply(change)
    checkout.write({"a.txt": "a\n"})
    assert checkout.apply(change).done
    assert checkout.apply(change, "branch").done
    assert not ran.exists()


def test_attack_attributes_of_the_patch_that_name_a_filter(checkout: Checkout) -> None:
    ran = checkout.folder / "ran"
    plant(checkout, ran)
    change = checkout.job({".gitattributes": "* filter=evil\n", "a.txt": "job\n"})
    with pytest.raises(ProtectedPaths):
        checkout.apply(change)
    assert checkout.apply(change, allow_protected=True).done
    assert (checkout.top / "a.txt").read_text() == "job\n"
    assert not ran.exists()


def test_files_that_a_filter_would_convert_are_not_put_on_a_branch(checkout: Checkout) -> None:
    ran = checkout.folder / "ran"
    checkout.commit({".gitattributes": "*.bin filter=evil\n*.md text\n"})
    plant(checkout, ran)
    for left in ({"x.bin": "job\n"}, {"x.md": "one\r\n"}):
        with pytest.raises(BranchUnusable):
            checkout.apply(checkout.job(left), "branch")
    assert checkout.apply(checkout.job({"x.md": "one\n"}), "branch").done
    assert not ran.exists()


def test_attack_a_bare_repository_whose_settings_git_would_obey(checkout: Checkout) -> None:
    planted = {
        "docs/HEAD": "ref: refs/heads/main\n",
        "docs/config": "[core]\n\tbare = false\n\tworktree = ..\n\tfsmonitor = touch ran\n",
        "docs/objects/keep": "",
        "docs/refs/keep": "",
    }
    assert_refused(checkout, checkout.job(planted), ProtectedPaths)
    checkout.commit({"docs/objects/keep": "", "docs/refs/keep": ""})
    assert_refused(checkout, checkout.job({"docs/HEAD": "ref: refs/heads/main\n"}), ProtectedPaths)
    assert checkout.apply(checkout.job({"src/objects/x.py": ""})).done


def test_attack_settings_of_agents_and_editors_need_a_person(checkout: Checkout) -> None:
    for path in ("CLAUDE.md", ".mcp.json", ".vscode/tasks.json", "sub/.envrc", ".husky/pre-commit"):
        assert_refused(checkout, checkout.job({path: "x\n"}), ProtectedPaths)


def test_attack_an_exec_bit_or_a_mode_that_is_none(checkout: Checkout) -> None:
    change = checkout.job({"run.sh": File(b"#!/bin/sh\n", "100755")})
    checkout.apply(change)
    done = subprocess.run(["stat", "-c", "%a", checkout.top / "run.sh"], capture_output=True)
    assert done.stdout.strip() in (b"755", b"775", b"700")
    assert_refused(
        checkout, forged(checkout.take(), adding("x", mode="104755"), "1" * 40), PatchDamaged
    )
