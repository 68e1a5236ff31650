"""The repository's own configuration: what it may say, and how it is told that it may not."""

from __future__ import annotations

import pytest

from mcp_cloud_agents.agents.repository_config import (
    DeclaredLimits,
    DeclaredSetup,
    DeclaredTests,
    RepositoryConfig,
    parse_repository_config,
)
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.sandbox import Limits

RUNNERS = frozenset({"pytest", "jest"})


def test_every_key_is_read() -> None:
    config = parse_repository_config(
        b"""
        [setup]
        commands = ["make deps"]
        inputs = ["Makefile", "deps/*.txt"]
        [tests]
        command = "make test"
        runner = "pytest"
        [limits]
        timeout_minutes = 0.5
        memory_mib = 1024
        processes = 64
        disk_mib = 2048
        """,
        runners=RUNNERS,
    )
    assert config == RepositoryConfig(
        setup=DeclaredSetup(commands=("make deps",), inputs=("Makefile", "deps/*.txt")),
        tests=DeclaredTests(command="make test", runner="pytest"),
        limits=DeclaredLimits(timeout_minutes=0.5, memory_mib=1024, processes=64, disk_mib=2048),
    )


def test_an_empty_file_declares_nothing() -> None:
    assert parse_repository_config(b"", runners=RUNNERS) == RepositoryConfig()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "[limits]\nnetwork = true",
            ".cloud-agents/config.toml, line 2, column 1: unknown key 'limits.network'.",
            "Allowed here: timeout_minutes, memory_mib, processes, disk_mib.",
        ),
        (
            "secrets = 1",
            ".cloud-agents/config.toml, line 1, column 1: unknown key 'secrets'.",
            "Allowed here: setup, tests, limits.",
        ),
        (
            "[setup]\n\ncommands = 'make'",
            ".cloud-agents/config.toml, line 3, column 12: wrong value for 'setup.commands': "
            "Expected `array`, got `str`.",
            "Correct the value, or remove the key to get the default.",
        ),
        (
            "[limits]\nmemory_mib = 1",
            ".cloud-agents/config.toml, line 2, column 14: wrong value for 'limits.memory_mib': "
            "Expected `int` >= 64.",
            "Correct the value, or remove the key to get the default.",
        ),
        (
            "limits.timeout_minutes = nan",
            ".cloud-agents/config.toml, line 1, column 26: not valid TOML: "
            "nan is no number that can be used here.",
            "Correct the syntax.",
        ),
        (
            "[tests]\nrunner = 'nose'",
            ".cloud-agents/config.toml, line 2, column 10: unknown test runner 'nose'.",
            "Allowed for 'tests.runner': jest, pytest.",
        ),
        (
            "[setup]\ninputs = ['../other']",
            ".cloud-agents/config.toml, line 2, column 11: '../other' is no path inside the "
            "repository.",
            "Allowed for 'setup.inputs': paths relative to the top of the tree, without '..'; "
            "'*' matches anything.",
        ),
        (
            "[setup",
            ".cloud-agents/config.toml, line 1, column 7: not valid TOML: "
            "Expected ']' at the end of a table declaration.",
            "Correct the syntax.",
        ),
        (
            "a = " + "[" * 20_000,
            ".cloud-agents/config.toml, line 1, column 20004: not valid TOML: "
            "tables are nested too deeply.",
            "Correct the syntax.",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_mistake_is_told_with_file_line_and_key(text: str, message: str, hint: str) -> None:
    with pytest.raises(BadConfig) as caught:
        parse_repository_config(text.encode(), runners=RUNNERS)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_huge_file_is_not_parsed() -> None:
    with pytest.raises(BadConfig, match="at most 65536 are read"):
        parse_repository_config(b"#" * 100_000, runners=RUNNERS)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadConfig, match="not valid TOML"):
        parse_repository_config(b"\xff\xfe", runners=RUNNERS)


def test_a_repository_may_tighten_limits_and_never_widen_them() -> None:
    limits = Limits(timeout_s=600, memory_mib=2_048, processes=100, disk_mib=1_000)
    config = RepositoryConfig(
        limits=DeclaredLimits(timeout_minutes=5, memory_mib=999_999, processes=50, disk_mib=64)
    )
    assert config.tighten(limits) == Limits(
        timeout_s=300, memory_mib=2_048, processes=50, disk_mib=64
    )


def test_input_patterns_name_files_of_the_tree() -> None:
    declared = DeclaredSetup(inputs=("Makefile", "deps/*"))
    names = frozenset({"Makefile", "deps/a.txt", "deps/b/c.txt", "src/deps/x"})
    assert declared.input_names(names) == ("Makefile", "deps/a.txt", "deps/b/c.txt")
