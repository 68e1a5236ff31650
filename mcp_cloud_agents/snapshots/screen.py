"""What may not leave the machine unasked: names that look like secrets, files that are too large.

Names alone decide: a scan of contents would find more, and would also be trusted more than it
deserves. Untracked files are refused; tracked ones are the person's decision and only reported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import RefusedFiles
from mcp_cloud_agents.domain.rendering import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MIB = 1 << 20
_SHOWN = 10
_HARMLESS = re.compile(rb"\.(?:example|sample|template|dist|tmpl|defaults?|pub)$", re.IGNORECASE)
_SECRET = re.compile(
    rb"""(?:^|/)(?:
        (?P<environment>\.env(?:rc|[.\-_][^/]*)?|[^/]+\.env)
      | (?P<key>[^/]*\.(?:pem|key|p12|pfx|jks|keystore|ppk|kdbx)
               |id_(?:rsa|dsa|ecdsa|ed25519|xmss)(?:[._\-][^/]*)?)
      | (?P<credentials>\.netrc|_netrc|\.npmrc|\.yarnrc\.yml|\.pypirc|\.pgpass|\.my\.cnf|\.htpasswd
               |\.git-credentials|\.vault-token|\.dockercfg|\.docker/config\.json|\.kube/config
               |kubeconfig|\.aws/(?:credentials|config)|\.azure/[^/]+|gcloud/[^/]+
               |credentials(?:\.(?:json|ya?ml|toml|ini|csv))?|client_secrets?[^/]*\.json
               |service[_\-]?account[^/]*\.json|application_default_credentials\.json
               |secrets?\.(?:json|ya?ml|toml|ini))
      | (?P<state>[^/]*\.tfstate(?:\.[^/]*)?|[^/]*\.auto\.tfvars|terraform\.tfvars)
    )$""",
    re.VERBOSE | re.IGNORECASE,
)
_REASONS = {
    "environment": "environment file",
    "key": "private key",
    "credentials": "credentials",
    "state": "Terraform state or variables",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenRules:
    """Limits for untracked files, and what the person allows in spite of its name or size."""

    max_file_mib: int = 50
    max_total_mib: int = 500
    allow: tuple[str, ...] = ()
    """Glob patterns, matched with the whole path and with the file's name."""
    leave_out: bool = False
    """Leave such files out of the snapshot, which stays on this machine, instead of refusing."""


def secret_kind(path: bytes) -> str | None:
    """What sort of secret the name suggests, or None."""
    found = _SECRET.search(path)
    if found is None or _HARMLESS.search(path):
        return None
    return _REASONS[found.lastgroup or "key"]


def screen(untracked: Mapping[bytes, int], rules: ScreenRules) -> set[bytes]:
    """Refuse untracked files by name and size, or say which are left out.

    Args:
        untracked: path relative to the top of the worktree, and size in bytes.
        rules: limits, and patterns the person allows.

    Raises:
        RefusedFiles: some may not be sent; each is named with its reason.
    """
    judged = {path: size for path, size in untracked.items() if not _allowed(path, rules.allow)}
    refused = {path: f"looks like a secret ({kind})" for path, kind in _secrets(judged)}
    for path, size in judged.items():
        if size > rules.max_file_mib * _MIB:
            refused.setdefault(path, f"{_mib(size)} MiB, more than {rules.max_file_mib} MiB")
    if not refused and sum(judged.values()) > rules.max_total_mib * _MIB:
        largest = sorted(judged, key=lambda path: -judged[path])[:_SHOWN]
        total = f"part of {_mib(sum(judged.values()))} MiB, more than {rules.max_total_mib} MiB"
        refused = {path: f"{_mib(judged[path])} MiB, {total} in all" for path in largest}
    if refused and not rules.leave_out:
        raise _refusal({render(path): refused[path] for path in sorted(refused)})
    return set(refused)


def _allowed(path: bytes, patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return False
    text = path.decode("utf-8", "replace")
    name = text.rsplit("/", 1)[-1]
    return any(fnmatchcase(text, mark) or fnmatchcase(name, mark) for mark in patterns)


def _secrets(paths: Iterable[bytes]) -> list[tuple[bytes, str]]:
    return [(path, kind) for path in paths if (kind := secret_kind(path))]


def _mib(size: int) -> int:
    return -(-size // _MIB)


def _refusal(refused: dict[str, str]) -> RefusedFiles:
    shown = ", ".join(f"{path} ({why})" for path, why in list(refused.items())[:_SHOWN])
    more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    return RefusedFiles(
        f"Untracked files may not be sent: {shown}{more}.",
        hint="Add them to .gitignore, or a person allows them by a pattern in `allow_untracked` "
        "in ~/.config/mcp-cloud-agents/config.toml.",
        paths=tuple(refused.items()),
    )
