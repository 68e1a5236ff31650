"""A small task for a fixing subagent: a tiny repository, a goal, and what the scripted model does.

`NN_name.toml` beside this file is one task each; `expected.toml` says what must come of it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Literal

import msgspec

from mcp_cloud_agents.domain.fix import FixOutcome, Label, StopReason
from mcp_cloud_agents.domain.fix_policy import FixPolicy
from tests.model_server.script import Script

FOLDER = Path(__file__).resolve().parent
Behaviour = Literal[
    "good",
    "late",
    "wrong",
    "looping",
    "cheating",
    "overfitting",
    "refusing",
    "garbage",
    "hanging",
    "budget",
    "provider",
    "deterministic",
    "nothing",
]


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of the task, and the script that it plays."""

    script: str = "main"
    provider: Literal["anthropic", "openai", "openai-chat"] = "anthropic"

    def table(self, prefix: str) -> dict[str, str]:
        """Its `[[fix.models]]`; the script's name follows `prefix` in the address."""
        anthropic = self.provider == "anthropic"
        return {
            "provider": self.provider,
            "model": "claude-haiku-4-5" if anthropic else "gpt-5-mini",
            "base_url": f"{prefix}{self.script}{'' if anthropic else '/v1'}",
            "key": "env:FIX_TASK_KEY",
        }


class Task(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a task's file holds."""

    goal: str
    bug: str
    """Kind of the defect."""
    behaviour: Behaviour
    """Of whoever makes the change."""
    files: dict[str, str]
    """The repository, in one commit."""
    test_command: str = "python3 -m unittest -q"
    attempts: int = 1
    command: str = ""
    """Edits the files without a model."""
    engine: str = ""
    timeout_minutes: float = 3
    fix: dict[str, Any] = {}
    """More of the person's table `[fix]`: limits."""
    routes: tuple[Route, ...] = (Route(),)
    scripts: dict[str, Script] = {}

    def arguments(self) -> dict[str, Any]:
        """Of the tool."""
        given: dict[str, Any] = {
            "goal": self.goal,
            "test_command": self.test_command,
            "attempts": self.attempts,
            "timeout_minutes": self.timeout_minutes,
        }
        if self.command:
            given["command"] = self.command
        if self.engine:
            given["engine"] = self.engine
        return given

    def policy(self, prefix: str) -> dict[str, Any]:
        """The person's table `[fix]`; see `Route.table`."""
        models = [route.table(prefix) for route in self.routes] if self.scripts else []
        policy = {"written_tests": False, **self.fix, "models": models}
        msgspec.convert(policy, FixPolicy)
        return policy

    def make_repository(self, folder: Path) -> None:
        """Write the repository, one commit; its set-up is declared empty."""
        files = {".cloud-agents/config.toml": "[setup]\ncommands = []\n", **self.files}
        for name, text in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "as it is")):
            identity = ("-c", "user.name=t", "-c", "user.email=t@invalid")
            subprocess.run(["git", *identity, *words], cwd=folder, check=True)


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must come of a task."""

    outcome: FixOutcome
    label: Label | None = None
    """Of the offered patch."""
    stopped: StopReason | None = None
    """Of candidate 1."""
    rejected: bool | None = None
    """Whether candidate 1 was rejected."""
    chosen: int | None = None
    requests: tuple[int, int] = (0, 0)
    """Fewest and most model requests that may be counted."""
    max_usd: float = 0
    """Most that may have been spent."""
    says: tuple[str, ...] = ()
    """Words that the evidence of candidate 1, or the answer, must have."""
    changes: tuple[str, ...] = ()
    """Paths of the offered patch."""
    racing: bool = False
    """Whether it is open which of several candidates wins."""
    often: bool = False
    """Whether it runs in the normal tier too."""


def tasks() -> dict[str, Task]:
    """All tasks by name."""
    files = sorted(FOLDER.glob("[0-9]*.toml"))
    return {file.stem: msgspec.toml.decode(file.read_bytes(), type=Task) for file in files}


def expected() -> dict[str, Expected]:
    """What must come of each task."""
    text = (FOLDER / "expected.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Expected])
