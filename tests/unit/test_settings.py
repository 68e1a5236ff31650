"""The person's settings: defaults, file, environment, sources, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.sandbox import IsolationLevel, Limits
from mcp_cloud_agents.settings import load


def a_file(home: Path, text: str) -> Path:
    file = home / ".config" / "mcp-cloud-agents" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_without_anything_set_the_defaults_hold(tmp_path: Path) -> None:
    settings = load({"HOME": str(tmp_path)}, cwd="/somewhere", uid=1000)
    assert set(settings.sources.values()) == {"default"}
    assert settings == replace(
        settings,
        state_dir=f"{tmp_path}/.local/state/mcp-cloud-agents",
        allowed_roots=(),
        required_isolation=IsolationLevel.FULL,
        limits=Limits(),
        max_file_mib=50,
        max_total_mib=1_024,
        allow_untracked=(),
        setup_env=(),
        keep_days=30,
        keep_gib=10,
        job_uid=62_000,
        search_path="/usr/local/bin:/usr/bin:/bin",
        home=str(tmp_path),
        cwd="/somewhere",
    )
    assert settings.concurrent_jobs >= 2


def test_root_keeps_its_state_where_other_users_can_pass(tmp_path: Path) -> None:
    settings = load({"HOME": str(tmp_path), "XDG_STATE_HOME": "/x"}, uid=0)
    assert settings.state_dir == "/var/lib/mcp-cloud-agents"


def test_the_file_is_over_the_defaults_and_the_environment_over_the_file(tmp_path: Path) -> None:
    file = a_file(
        tmp_path,
        """
        state_dir = "~/jobs"
        keep_days = 3
        keep_gib = 4
        [limits]
        timeout_minutes = 5
        memory_mib = 512
        [setup_env]
        UV_DEFAULT_INDEX = "https://mirror.example/simple"
        """,
    )
    settings = load(
        {
            "HOME": str(tmp_path),
            "MCP_CLOUD_AGENTS_KEEP_DAYS": "7",
            "MCP_CLOUD_AGENTS_LIMITS_MEMORY_MIB": "1024",
            "MCP_CLOUD_AGENTS_ALLOWED_ROOTS": "/a:/b/",
            "MCP_CLOUD_AGENTS_REQUIRED_ISOLATION": "container",
        },
        uid=1000,
    )
    assert settings.limits == Limits(timeout_s=300, memory_mib=1024)
    assert (settings.keep_days, settings.keep_gib) == (7, 4)
    assert settings.allowed_roots == ("/a", "/b")
    assert settings.required_isolation is IsolationLevel.CONTAINER
    assert settings.state_dir == f"{tmp_path}/jobs"
    assert settings.setup_env == (("UV_DEFAULT_INDEX", "https://mirror.example/simple"),)
    said = {name: source for name, source in settings.sources.items() if source != "default"}
    assert said == {
        "state_dir": str(file),
        "keep_gib": str(file),
        "limits.timeout_minutes": str(file),
        "setup_env": str(file),
        "keep_days": "environment",
        "limits.memory_mib": "environment",
        "allowed_roots": "environment",
        "required_isolation": "environment",
    }


@pytest.mark.parametrize("value", ["", "  ", "${STATE}", "${STATE:-}"])
def test_what_clients_pass_for_an_unset_variable_counts_as_unset(
    value: str, tmp_path: Path
) -> None:
    settings = load(
        {
            "HOME": str(tmp_path),
            "MCP_CLOUD_AGENTS_STATE_DIR": value,
            "MCP_CLOUD_AGENTS_KEEP_DAYS": value,
            "XDG_CONFIG_HOME": value,
            "PATH": value,
        },
        uid=1000,
    )
    assert set(settings.sources.values()) == {"default"}
    assert settings.search_path == "/usr/local/bin:/usr/bin:/bin"


def test_the_xdg_folders_are_used_when_they_are_absolute(tmp_path: Path) -> None:
    (tmp_path / "cfg" / "mcp-cloud-agents").mkdir(parents=True)
    (tmp_path / "cfg" / "mcp-cloud-agents" / "config.toml").write_text("keep_days = 1\n")
    variables = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": f"{tmp_path}/cfg"}
    settings = load({**variables, "XDG_STATE_HOME": "relative"}, uid=1000)
    assert settings.keep_days == 1
    assert settings.state_dir == f"{tmp_path}/.local/state/mcp-cloud-agents"


def test_the_environment_sets_no_variables_for_setup(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "UV_DEFAULT_INDEX": "https://evil.example"}
    assert load({**variables, "MCP_CLOUD_AGENTS_SETUP_ENV": "A=1"}, uid=1000).setup_env == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_dayz = 1", "{file}, line 1, column 1: unknown key 'keep_dayz'."),
        (
            "\n[limits]\nmemory_mib = '4 GiB'",
            "{file}, line 3, column 14: wrong value for 'limits.memory_mib': "
            "Expected `int`, got `str`.",
        ),
        ("keep_days = ", "{file}, line 1, column 13: not valid TOML: Invalid value."),
        (
            "x = 1\nx = 2\n",
            "{file}, line 2, column 6: not valid TOML: Cannot overwrite a value.",
        ),
        ("state_dir = 'a/b'", "The setting state_dir is 'a/b', which is no absolute path."),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(
    text: str, message: str, tmp_path: Path
) -> None:
    file = a_file(tmp_path, text)
    with pytest.raises(BadConfig) as caught:
        load({"HOME": str(tmp_path)}, uid=1000)
    assert caught.value.message == message.format(file=file)


def test_a_mistake_in_the_environment_names_the_variable(tmp_path: Path) -> None:
    variables = {"HOME": str(tmp_path), "MCP_CLOUD_AGENTS_KEEP_DAYS": "many"}
    with pytest.raises(BadConfig) as caught:
        load(variables, uid=1000)
    assert caught.value.message == (
        "The environment variable MCP_CLOUD_AGENTS_KEEP_DAYS has the wrong value 'many': "
        "Expected `int`, got `str`."
    )


def test_a_folder_in_the_place_of_the_file_is_a_told_mistake(tmp_path: Path) -> None:
    (tmp_path / ".config/mcp-cloud-agents/config.toml").mkdir(parents=True)
    with pytest.raises(BadConfig, match="cannot be read: Is a directory"):
        load({"HOME": str(tmp_path)}, uid=1000)
