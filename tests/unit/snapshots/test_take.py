"""Taking snapshots: exactly what is on disk, whatever the user's index says."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mcp_cloud_agents.domain.errors import RefusedFiles, UnreadableTree
from mcp_cloud_agents.snapshots.screen import ScreenRules

if TYPE_CHECKING:
    from conftest import Worktree


def test_staged_unstaged_deleted_and_untracked_are_all_in(repo: Worktree) -> None:
    repo.commit({"same": "1", "edited": "1", "staged": "1", "gone": "1", "dir/x": "1"})
    repo.write({"edited": "2", "staged": "2", "new": "3", "intended": "4"})
    repo.git("add", "staged")
    repo.git("add", "-N", "intended")
    (repo.top / "gone").unlink()
    snapshot = repo.take()
    assert repo.texts(snapshot) == {
        "same": "1", "edited": "2", "staged": "2", "new": "3", "intended": "4", "dir/x": "1",
    }  # fmt: skip
    assert (snapshot.files, snapshot.origin.dirty) == (6, True)


def test_exec_bits_and_dangling_links_are_kept(repo: Worktree) -> None:
    repo.write({"run": "#!/bin/sh\n"})
    (repo.top / "run").chmod(0o755)
    (repo.top / "link").symlink_to("nowhere")
    assert repo.held(repo.take()) == {
        "run": ("100755", b"#!/bin/sh\n"),
        "link": ("120000", b"nowhere"),
    }


def test_odd_names_arrive_as_they_are(repo: Worktree) -> None:
    odd = [b"sp ace", b"new\nline", b"t\tab", "ü".encode(), b"bad\xff", b'q"uote', b"-dash", b":!x"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(repo.top) + b"/" + name)).write_bytes(name)
    held = repo.held(repo.take())
    assert {os.fsencode(p): content for p, (_, content) in held.items()} == {n: n for n in odd}


def test_the_tree_alone_decides_the_commit(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    before = repo.take()
    repo.git("commit", "-q", "--allow-empty", "-m", "another history")
    after = repo.take()
    assert (before.commit, before.tree) == (after.commit, after.tree)
    assert after.origin.base_commit != before.origin.base_commit


def test_a_warm_cache_gives_the_tree_of_a_cold_one(repo: Worktree) -> None:
    repo.commit({"a/x": "1", "b": "1", "c": "1"})
    repo.take()
    shutil.rmtree(repo.top / "a")
    repo.write({"a": "a file now", "d/y": "2"})
    (repo.top / "b").unlink()
    repo.write({"b/z": "a folder now"})
    (repo.top / "c").unlink()
    (repo.top / "c").symlink_to("d")
    warm, cold = repo.take(), repo.snapshots(state="cold")
    assert cold.take(cold.locate(str(repo.top))).tree == warm.tree
    assert set(repo.texts(warm)) == {"a", "b/z", "c", "d/y"}


def test_a_folder_replaced_by_a_link_is_not_followed(repo: Worktree) -> None:
    repo.commit({"dir/x": "1", "other/x": "1"})
    repo.take()
    shutil.rmtree(repo.top / "dir")
    (repo.top / "dir").symlink_to("other")
    assert repo.held(repo.take()) == {"dir": ("120000", b"other"), "other/x": ("100644", b"1")}


def test_assume_unchanged_and_skip_worktree_hide_nothing(repo: Worktree) -> None:
    repo.commit({"assumed": "1", "skipped": "1"})
    repo.git("update-index", "--assume-unchanged", "assumed")
    repo.git("update-index", "--skip-worktree", "skipped")
    repo.write({"assumed": "2", "skipped": "2"})
    assert repo.texts(repo.take()) == {"assumed": "2", "skipped": "2"}


def test_tracked_files_that_are_ignored_are_in(repo: Worktree) -> None:
    repo.commit({"build/kept": "1", ".gitignore": "build/\n"})
    repo.write({"build/kept": "2", "build/other": "2"})
    assert repo.texts(repo.take()) == {"build/kept": "2", ".gitignore": "build/\n"}


def test_a_file_untracked_since_and_ignored_goes_out(repo: Worktree) -> None:
    repo.commit({"out": "1", ".gitignore": "out\n"})
    repo.take()
    repo.git("rm", "-q", "--cached", "out")
    assert repo.texts(repo.take()) == {".gitignore": "out\n"}


def test_an_untracked_file_that_becomes_ignored_goes_out(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({"noise": "1"})
    assert set(repo.texts(repo.take())) == {"a", "noise"}
    repo.write({".git/info/exclude": "noise\n"})
    assert set(repo.texts(repo.take())) == {"a"}


def test_the_persons_own_ignore_file_counts(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({"x.swp": "1", "y.bak": "1"})
    ignore = repo.home / ".config" / "git" / "ignore"
    ignore.parent.mkdir(parents=True)
    (repo.home / "dotfiles").write_text("*.swp\n")
    ignore.symlink_to(repo.home / "dotfiles")
    assert set(repo.texts(repo.take())) == {"a", "y.bak"}
    (repo.home / "mine").write_text("*.bak\n")
    repo.git("config", "--global", "core.excludesFile", "~/mine")
    assert set(repo.texts(repo.take())) == {"a", "x.swp"}
    repo.git("config", "--global", "core.excludesFile", "")
    assert set(repo.texts(repo.take())) == {"a", "x.swp", "y.bak"}


def test_line_ends_travel_as_they_are_on_disk(repo: Worktree) -> None:
    repo.git("config", "core.autocrlf", "true")
    repo.write({".gitattributes": "* text=auto eol=crlf\n", "dos": "a\r\nb\r\n", "unix": "a\n"})
    assert repo.texts(repo.take()) == {
        ".gitattributes": "* text=auto eol=crlf\n", "dos": "a\r\nb\r\n", "unix": "a\n",
    }  # fmt: skip


def test_filters_never_run_and_are_told_of(repo: Worktree) -> None:
    ran = repo.home / "ran"
    for name in ("lfs", "crypt"):
        repo.git("config", f"filter.{name}.clean", f"touch {ran}; cat")
        repo.git("config", f"filter.{name}.process", f"touch {ran}")
        repo.git("config", f"filter.{name}.required", "true")
    attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\nkey.txt filter=crypt\n"
    repo.write({".gitattributes": attributes, "a.bin": "content", "key.txt": "plain"})
    snapshot = repo.take()
    os.utime(repo.top / "a.bin")
    assert repo.take().tree == snapshot.tree
    assert repo.texts(snapshot)["a.bin"] == "content"
    assert not ran.exists()
    assert snapshot.warnings == (
        "The filter crypt is not run, files are sent as they are on disk (plaintext): key.txt.",
        "Git LFS files are sent as they are on disk (content, or the pointer): a.bin.",
    )


def test_a_linked_worktree_has_its_own_tree_and_the_same_store(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    linked = repo.top.parent / "linked"
    repo.git("worktree", "add", "-q", str(linked))
    (linked / "b").write_text("2")
    main, other = repo.take(), repo.take(top=linked)
    assert (repo.texts(main), repo.texts(other)) == ({"a": "1"}, {"a": "1", "b": "2"})
    assert main.repository == other.repository
    assert other.sent_bytes < 500


def test_a_repository_without_commits_has_a_snapshot(repo: Worktree) -> None:
    repo.write({"a": "1"})
    snapshot = repo.take()
    assert repo.texts(snapshot) == {"a": "1"}
    assert (snapshot.origin.base_commit, snapshot.origin.dirty) == (None, True)


def test_an_empty_worktree_has_a_snapshot(repo: Worktree) -> None:
    snapshot = repo.take()
    assert (snapshot.files, repo.held(snapshot)) == (0, {})


def test_sha256_repositories_work(repo: Worktree) -> None:
    shutil.rmtree(repo.top / ".git")
    repo.git("init", "-q", "--object-format=sha256")
    repo.commit({"a": "1", "b": "1"})
    repo.take()
    (repo.top / "b").unlink()
    repo.write({"a": "2"})
    snapshot = repo.take()
    assert (snapshot.object_format, len(snapshot.tree)) == ("sha256", 64)
    assert repo.texts(snapshot) == {"a": "2"}


def test_a_file_in_mid_merge_travels_with_its_markers(repo: Worktree) -> None:
    repo.commit({"f": "base\n"})
    repo.git("checkout", "-q", "-b", "side")
    repo.commit({"f": "side\n"})
    repo.git("checkout", "-q", "main")
    repo.commit({"f": "main\n"})
    repo.git("merge", "-q", "side", ok=False)
    assert repo.texts(repo.take()) == {"f": "<<<<<<< HEAD\nmain\n=======\nside\n>>>>>>> side\n"}


def test_submodules_stay_links_and_are_told_of(repo: Worktree) -> None:
    inner = repo.top.parent / "inner"
    inner.mkdir()
    repo.git("init", "-q", cwd=inner)
    repo.git("commit", "-q", "--allow-empty", "-m", "1", cwd=inner)
    repo.git("submodule", "add", "-q", str(inner), "sub")
    repo.commit({})
    before = repo.take()
    repo.git("commit", "-q", "--allow-empty", "-m", "2", cwd=repo.top / "sub")
    after, head = repo.take(), repo.git("rev-parse", "HEAD", cwd=repo.top / "sub").strip()
    assert repo.held(after)["sub"] == ("160000", head.encode())
    assert before.tree != after.tree
    assert after.warnings == ("The content of submodules is not carried: sub.",)


def test_a_nested_repository_with_a_commit_is_a_link(repo: Worktree) -> None:
    repo.write({"a": "1", "nested/f": "1"})
    assert set(repo.texts(repo.take())) == {"a", "nested/f"}
    repo.git("init", "-q", cwd=repo.top / "nested")
    repo.git("commit", "-q", "--allow-empty", "-m", "x", cwd=repo.top / "nested")
    snapshot = repo.take()
    assert repo.held(snapshot)["nested"][0] == "160000"
    assert snapshot.warnings == ("Nested repositories are not carried: nested.",)
    shutil.rmtree(repo.top / "nested" / ".git")
    assert set(repo.texts(repo.take())) == {"a", "nested/f"}


def test_a_nested_repository_without_a_commit_is_named(repo: Worktree) -> None:
    repo.write({"a": "1", "nested/f": "1"})
    repo.git("init", "-q", cwd=repo.top / "nested")
    with pytest.raises(UnreadableTree) as caught:
        repo.take()
    assert "nested is a nested git repository without a commit" in caught.value.message
    assert "/nested/" in caught.value.hint


def test_a_sparse_checkout_sends_what_is_on_disk(repo: Worktree) -> None:
    repo.commit({"in/x": "1", "out/x": "1", "top": "1"})
    repo.git("sparse-checkout", "set", "--cone", "in")
    snapshot = repo.take()
    assert set(repo.texts(snapshot)) == {"in/x", "top"}
    assert snapshot.warnings == (
        "Outside the sparse checkout, so not on disk and not in the snapshot: out/x.",
    )


def test_fifos_and_sockets_are_passed_over(repo: Worktree) -> None:
    repo.commit({"a": "1", "b": "1"})
    os.mkfifo(repo.top / "pipe")
    (repo.top / "b").unlink()
    os.mkfifo(repo.top / "b")
    assert repo.texts(repo.take()) == {"a": "1"}


@pytest.mark.parametrize("name", [".gitignore", "deep/.gitignore"])
def test_a_pipe_for_ignore_rules_is_named(repo: Worktree, name: str) -> None:
    repo.commit({"a": "1", "deep/b": "1"})
    os.mkfifo(repo.top / name)
    with pytest.raises(UnreadableTree) as caught:
        repo.take()
    assert caught.value.message == f"{name} is a pipe or a device, and git waits for it for ever."


def test_without_file_mode_the_users_index_tells_the_exec_bit(repo: Worktree) -> None:
    repo.write({"run": "1", "text": "1"})
    repo.git("config", "core.fileMode", "false")
    repo.git("add", "-A")
    repo.git("update-index", "--chmod=+x", "run")
    (repo.top / "text").chmod(0o755)
    assert {path: mode for path, (mode, _) in repo.held(repo.take()).items()} == {
        "run": "100755", "text": "100644",
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_named(repo: Worktree) -> None:
    repo.commit({"a": "1", "closed": "1", "folder/x": "1"})
    for path in ("closed", "folder"):
        (repo.top / path).chmod(0)
        with pytest.raises(UnreadableTree) as caught:
            repo.take()
        (repo.top / path).chmod(0o700)
        assert path in caught.value.message
        assert "chmod" in caught.value.hint


def test_a_name_that_means_a_git_folder_elsewhere_is_named(repo: Worktree) -> None:
    repo.write({"a": "1", "GIT~1": "2"})
    with pytest.raises(UnreadableTree) as caught:
        repo.take()
    assert "GIT~1" in caught.value.message


def test_refused_files_are_stored_nowhere(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    repo.write({".env": "TOKEN=a-secret-that-stays-here", "conf/id_rsa": "x", "b": "2"})
    with pytest.raises(RefusedFiles) as caught:
        repo.take()
    assert caught.value.paths == (
        (".env", "looks like a secret (environment file)"),
        ("conf/id_rsa", "looks like a secret (private key)"),
    )
    oid = repo.git("hash-object", ".env").strip()
    assert not [p for p in repo.state.rglob("*") if oid[2:] in p.name]


def test_a_rule_made_after_a_snapshot_counts_for_known_files(repo: Worktree) -> None:
    repo.write({".env": "x", "big": "y" * (3 << 20)})
    allowed = repo.take(ScreenRules(allow=(".env",)))
    assert set(repo.texts(allowed)) == {".env", "big"}
    with pytest.raises(RefusedFiles) as caught:
        repo.take(ScreenRules(max_file_mib=2))
    assert [path for path, _ in caught.value.paths] == [".env", "big"]


def test_tracked_secrets_and_large_files_are_sent_with_a_warning(repo: Worktree) -> None:
    repo.commit({".env": "x", "big": "y" * (2 << 20)})
    rules = ScreenRules(max_file_mib=1)
    warnings = (
        "Tracked files look like secrets and are sent: .env.",
        "Tracked files are over the size limit and are sent: big.",
    )
    assert repo.take(rules).warnings == warnings
    repo.write({"other": "edit"})
    assert repo.take(rules).warnings == warnings


def test_the_users_git_dir_is_never_written_to(repo: Worktree) -> None:
    repo.commit({"a": "1", "b": "1"})
    linked = repo.top.parent / "linked"
    repo.git("worktree", "add", "-q", str(linked))
    repo.write({"a": "2", "c": "3", "d": "4"})
    repo.git("add", "d")
    (linked / "a").write_text("5")
    before = repo.fingerprint()
    for top in (repo.top, linked, repo.top):
        repo.take(top=top)
    assert repo.fingerprint() == before


def test_hooks_and_monitors_of_the_repository_do_not_run(repo: Worktree) -> None:
    repo.commit({"a": "1"})
    ran = repo.home / "ran"
    script = repo.home / "script"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    repo.git("config", "core.fsmonitor", str(script))
    for hook in ("post-index-change", "reference-transaction"):
        shutil.copy(script, repo.top / ".git" / "hooks" / hook)
    ran.unlink(missing_ok=True)
    repo.write({"a": "2"})
    repo.take()
    assert not ran.exists()
