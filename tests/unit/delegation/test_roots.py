from __future__ import annotations

import pytest

from mcp_cloud_agents.delegation.roots import check_root
from mcp_cloud_agents.domain.errors import WorkspaceNotAllowed
from mcp_cloud_agents.domain.job import Origin


def origin(top: str) -> Origin:
    return Origin(
        workspace=top, git_dir="g", common_dir="g", base_commit=None, branch=None, dirty=False
    )


@pytest.mark.parametrize("top", ["/src/app", "/src/app/sub", "/work/x"])
def test_a_root_and_what_is_below_it_may_be_sent(top: str) -> None:
    check_root(origin(top), ["/src/app", "/work/"])


@pytest.mark.parametrize("top", ["/src/app2", "/src", "/", "/srv"])
def test_anything_else_is_refused_with_the_way_to_allow_it(top: str) -> None:
    with pytest.raises(WorkspaceNotAllowed) as caught:
        check_root(origin(top), ["/src/app"])
    assert "allowed_roots" in caught.value.hint
