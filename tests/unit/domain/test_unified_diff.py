from __future__ import annotations

import difflib
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.unified_diff import Line, normalised, read_diff

TEXT = """\
diff --git a/src/a.py b/src/a.py
index 1..2 100644
--- a/src/a.py
+++ b/src/a.py
@@ -3,3 +3,4 @@ def f():
 kept
-gone
--- like a header
+new
++++ b/like a header
+
\\ No newline at end of file
@@ -20 +21,2 @@
 x
+y
diff --git a/b.bin b/b.bin
index 1..2
GIT binary patch
literal 3
zzz

diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1 +0,0 @@
-x
"""


def test_lines_are_counted_by_the_hunk_headers() -> None:
    source, binary, gone = read_diff(TEXT)
    assert (source.path, source.binary) == ("src/a.py", False)
    assert source.lines == [
        *(Line(" ", 3, "kept"), Line("-", 4, "gone"), Line("-", 4, "-- like a header")),
        *(Line("+", 4, "new"), Line("+", 5, "+++ b/like a header"), Line("+", 6, "")),
        *(Line(" ", 21, "x"), Line("+", 22, "y")),
    ]
    assert (binary.path, binary.binary, binary.lines) == ("b.bin", True, [])
    assert (gone.path, gone.new()) == ("gone.py", [])


def test_odd_names_are_read_as_git_writes_them(tmp_path: Path) -> None:
    names = ["a b.py", 'quo"te.py', "größe.py", "tab\t.py", "back\\slash.py", "ü b/ü.py"]

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@invalid", *words],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "base")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "raw ü.bin").write_bytes(b"\0\1")
    git("add", "-A")
    diff = git("diff", "--cached", "-p", "--binary", "--full-index", "--no-renames")
    assert {file.path for file in read_diff(diff)} == {*names, "raw ü.bin"}
    assert {file.path for file in read_diff(diff) if file.binary} == {"raw ü.bin"}


def unified(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"a/{path}", f"b/{path}", lineterm=""
    )
    return "\n".join([f"diff --git a/{path} b/{path}", *lines, ""])


def test_spacing_comments_and_places_do_not_make_another_change() -> None:
    one = unified("a.py", "x\n", "x\nreturn  1\n")
    two = unified("a.py", "y\nz\nx\n", "y\nz\n# why\n\nx\nreturn 1\n")
    assert normalised(one) == normalised(two) == "= a.py\n+return 1"


def test_indentation_makes_another_change() -> None:
    shallow, deep = (unified("a.py", "x\n", f"x\n{gap}return 1\n") for gap in ("  ", "    "))
    assert normalised(shallow) != normalised(deep)


LINES = st.lists(st.sampled_from(["a", "b", "--- c", "+++ d", "@@ -1 +1 @@", "diff --git", ""]))


@given(LINES, LINES)
def test_new_lines_are_those_of_the_new_file(old: list[str], new: list[str]) -> None:
    diff = unified("a.py", "\n".join(old), "\n".join(new))
    lines = "\n".join(new).splitlines()
    for file in read_diff(diff):
        assert all(lines[line.number - 1] == line.text for line in file.new())


@given(st.text())
def test_whatever_the_text_reading_it_ends(text: str) -> None:
    assert isinstance(normalised(text), str)
