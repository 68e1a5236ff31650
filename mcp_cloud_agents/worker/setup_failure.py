"""Why a set-up command failed, in words a person can act on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.rendering import render
from mcp_cloud_agents.domain.result import Cause, CauseKind

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.sandbox import Limits
    from mcp_cloud_agents.domain.setup import SetupPlan
    from mcp_cloud_agents.worker.run import Ran

_HEAD_BYTES = 65_536
_TAIL_BYTES = 65_536
_LINES = 20
_FIRST_ERRORS = 8
_LINE_CHARS = 300
_NOT_FOUND = 127
"""The shell's exit code for a program that is not there."""
_SIGN = re.compile(
    r"\b(error|fatal|failed|failure|cannot|could not|not found|no such)\b|\u00d7|ERR!", re.I
)
_DECLARE = (
    "Correct what the excerpt tells, or declare the set-up yourself in .cloud-agents/config.toml "
    "([setup] commands)."
)
_HINTS: tuple[tuple[str, str], ...] = (
    (
        r"name resolution|resolve host|dns error|EAI_AGAIN|ENOTFOUND|getaddrinfo|lookup address"
        r"|Name or service not known|no such host|Network is unreachable|ENETUNREACH"
        r"|Could not connect|ECONNREFUSED|Connection refused",
        "The package registry could not be reached: check this machine's network, or name a "
        "mirror in your own settings ([setup_env], for instance UV_DEFAULT_INDEX or "
        "npm_config_registry).",
    ),
    (
        r"invalid peer certificate|UnknownIssuer|certificate verify failed|self.signed certificate"
        r"|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF",
        "The registry's certificate is not trusted: install your organisation's certificate in "
        "the system's store.",
    ),
    (
        r"\b(401|403) (Unauthorized|Forbidden)|E401|E403|authentication",
        "The registry wants a login: give set-up the variables it needs in your own settings "
        "([setup_env]); code of the repository will see them.",
    ),
    (
        r"npm ci.*(package.json and package-lock.json|lock file)|EUSAGE",
        "package.json and the lock file disagree: run `npm install` and submit again.",
    ),
    (
        r"lockfile.*(needs to be updated|out.?of.?date|outdated)|changed significantly",
        "The lock file is older than the manifest: update it (`uv lock`, `poetry lock`, "
        "`cargo update`) and submit again.",
    ),
    (
        r"No solution found|ResolutionImpossible|no version of|ERESOLVE|No matching",
        "The declared versions cannot be met together, or not on this Python: see the lines below.",
    ),
    (
        r"Python\.h: No such file|command '(gcc|cc|g\+\+|clang)|linker .* not found|pg_config"
        r"|fatal error: .*\.h: No such file",
        "A package is built from source and needs a compiler or system library: install it on "
        "this machine.",
    ),
    (
        r"No space left on device|ENOSPC",
        "A private temporary folder or the disk is full: raise limits.tmp_mib or free space.",
    ),
)  # fmt: skip


class Excerpt:
    """Beginning and end of a command's output, of bounded size."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        room = _HEAD_BYTES - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-_TAIL_BYTES:] if len(data) > room else self._tail

    def text(self) -> str:
        """What was kept, made harmless."""
        return render(self._head + self._tail)

    def lines(self) -> tuple[str, ...]:
        """At most 20 lines: the first ones that tell of an error, then the last ones."""
        lines = [line.rstrip()[:_LINE_CHARS] for line in self.text().split("\n") if line.strip()]
        if len(lines) <= _LINES:
            return tuple(lines)
        early = [line for line in lines[:-_LINES] if _SIGN.search(line)][:_FIRST_ERRORS]
        return (*early, *lines[len(early) - _LINES :])


def explain(command: str, ran: Ran, excerpt: Excerpt, plan: SetupPlan, limits: Limits) -> Cause:
    """The cause of a set-up that did not work."""
    if ran.stopped is not None:
        return _stopped(ran.stopped, command, excerpt, limits)
    if ran.exit_code is None:
        return Cause(
            kind=CauseKind.SANDBOX_START,
            message="The sandbox of the set-up phase did not start.",
            hint="Run `mcp-cloud-agents doctor` to see what is missing.",
            excerpt=excerpt.lines(),
        )
    text, notes = excerpt.text(), " ".join(plan.notes)
    if ran.exit_code == _NOT_FOUND:
        hint = f"A program is missing: install it where jobs can reach it. {notes}"
    elif command.startswith("uv venv"):
        hint = f"Install the Python that the project asks for, where jobs can reach it. {notes}"
    else:
        hint = next((said for sign, said in _HINTS if re.search(sign, text, re.I)), _DECLARE)
    return Cause(
        kind=CauseKind.SETUP_FAILED,
        message=f"Set-up command failed with exit code {ran.exit_code}: `{command[:200]}`.",
        hint=hint.strip(),
        excerpt=excerpt.lines(),
    )


def _stopped(kind: CauseKind, command: str, excerpt: Excerpt, limits: Limits) -> Cause:
    said = {
        CauseKind.TIMEOUT: (
            f"Set-up did not end within {limits.setup_timeout_s} s: `{command[:200]}`.",
            "Raise limits.setup_timeout_minutes in your settings.",
        ),
        CauseKind.OOM: (
            f"Set-up used more than {limits.memory_mib} MiB of memory: `{command[:200]}`.",
            "Raise limits.memory_mib in your settings.",
        ),
        CauseKind.DISK: (
            f"Set-up wrote more than {limits.disk_mib} MiB: `{command[:200]}`.",
            "Raise limits.disk_mib in your settings.",
        ),
    }
    message, hint = said.get(kind, ("The job was cancelled during set-up.", "Submit it again."))
    return Cause(kind=kind, message=message, hint=hint, excerpt=excerpt.lines())
