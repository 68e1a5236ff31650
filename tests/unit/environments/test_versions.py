"""Version specifiers, as far as choosing an interpreter needs them."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.environments.versions import release, satisfies


@pytest.mark.parametrize(
    ("version", "specifiers", "met"),
    [
        ("3.11.2", "", True),
        ("3.11.2", ">=3.9", True),
        ("3.11.2", ">=3.9,<3.11", False),
        ("3.11.2", "<3.12", True),
        ("3.11.0", "<=3.11", True),
        ("3.11.2", "<=3.11", False),
        ("3.11.2", ">3.11", True),
        ("3.11.2", "==3.11.*", True),
        ("3.12.0", "==3.11.*", False),
        ("3.12.0", "!=3.11.*", True),
        ("3.11.2", "~=3.9", True),
        ("4.0.0", "~=3.9", False),
        ("3.11.2", "~=3.11.3", False),
        ("3.11.2", "==3.11.2", True),
        ("3.11.2", "!=3.11.2", False),
        ("3.11.2", "===3.11.2", True),
        ("3.11.2", ">=3.12.0rc1", False),
        ("3.11.2", "what is this", True),
    ],
)
def test_a_version_meets_its_specifiers_or_not(version: str, specifiers: str, met: bool) -> None:
    assert satisfies(version, specifiers) is met


def test_a_release_is_the_numbers_of_a_version() -> None:
    found = [release(text) for text in ("v20.1.0", "3.13.0rc2", "go1.19.8", "none", "9" * 40)]
    assert found == [(20, 1, 0), (3, 13, 0), (1, 19, 8), (), (999_999_999,)]
