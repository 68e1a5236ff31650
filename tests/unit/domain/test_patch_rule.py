from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_cloud_agents.domain.patch import refusal, steers_tools


@pytest.mark.parametrize(
    ("mode", "path", "target", "why"),
    [
        ("100644", b"src/a.py", b"", None),
        ("000000", b"gone.txt", b"", None),
        ("120000", b"a/link", b"../b", None),
        ("100644", b"\xff.txt", b"", "name is not UTF-8"),
        ("100644", b"a\nb", b"", "control character in name"),
        ("100644", b"../a", b"", "unsafe path"),
        ("100644", b"/etc/passwd", b"", "unsafe path"),
        ("100644", b"a//b", b"", "unsafe path"),
        ("100644", b".git/config", b"", "inside a git directory"),
        ("100644", b"sub/.GIT/hooks/x", b"", "inside a git directory"),
        ("100644", b"git~1/config", b"", "inside a git directory"),
        ("100644", ".g\u200cit/config".encode(), b"", "inside a git directory"),
        ("100644", b".git . ./x", b"", "inside a git directory"),
        ("100644", b".git::$INDEX_ALLOCATION/x", b"", "inside a git directory"),
        ("160000", b"module", b"", "nested repository"),
        ("120000", b"link", b"/etc/passwd", "symlink leaves the tree"),
        ("120000", b"link", b"../x", "symlink leaves the tree"),
        ("120000", b"a/link", b"../../x", "symlink leaves the tree"),
        ("120000", b"a/link", b"x/../../..", "symlink leaves the tree"),
        ("120000", b"link", b".git/config", "symlink into a git directory"),
        ("120000", b"link", b"a/.GIT", "symlink into a git directory"),
        ("100664", b"a", b"", "mode 100664"),
    ],
)
def test_each_change_is_judged_by_mode_path_and_target(
    mode: str, path: bytes, target: bytes, why: str | None
) -> None:
    assert refusal(mode, path, target) == why


@given(st.binary(), st.binary())
def test_no_name_that_passes_leaves_the_tree(path: bytes, target: bytes) -> None:
    if refusal("120000", path, target) is None:
        names = path.decode().split("/")
        assert ".." not in names
        assert not target.startswith(b"/")
        assert target.count(b"..") <= len(names)


@pytest.mark.parametrize(
    ("path", "steers"),
    [
        (".github/workflows/ci.yml", True),
        ("sub/.vscode/settings.json", True),
        (".mcp.json", True),
        ("deep/.gitattributes", True),
        ("src/github/x.py", False),
        ("docs/mcp.json", False),
    ],
)
def test_paths_that_tools_obey_are_marked(path: str, steers: bool) -> None:
    assert steers_tools(path) is steers
