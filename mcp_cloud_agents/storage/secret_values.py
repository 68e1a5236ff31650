"""The values of secrets by their references; in memory only, anew for each job.

    env:NAME          a variable of the environment
    file:/path        all of a file that nobody else can read, but for a newline at its end
    aws-sm:ID[#KEY]   Secrets Manager; with KEY one value of a JSON secret
    aws-ssm:NAME      a parameter of SSM, decrypted

A message names the secret and its reference, never the value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import SecretUnusable
from mcp_cloud_agents.governance.secret_forms import SHORTEST, can_be_found
from mcp_cloud_agents.storage.private_file import NotPrivate, read_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mcp_cloud_agents.domain.secret import SecretGrant

MOST_BYTES = 32_768
"""Of one value. Linux takes 128 KiB for one variable; a key or certificate has a few."""
_TAKEN = re.compile(r"(AWS_|ECS_|MCP_CLOUD_AGENTS_|LD_|PYTHON).*|JOB_SPEC|PATH|HOME|TMPDIR")


class Unusable(Exception):
    """A value cannot be had.

    Attributes:
        why: what is wrong, without the value.
        hint: what to do.
    """

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint


def _forget(_: Iterable[str]) -> None:
    """Nobody remembers."""


class SecretValues:
    """Resolves the grants of one job. Blocks.

    Args:
        variables: values of the environment by name; those that are unset are missing.
        aws: the value of a reference `aws-sm:` or `aws-ssm:`; raises Unusable.
        files: whether files of this machine may be read.
        remember: told every value before anybody else has it.
    """

    def __init__(
        self,
        variables: Callable[[Sequence[str]], Mapping[str, str]],
        aws: Callable[[str], str],
        *,
        files: bool = True,
        remember: Callable[[Iterable[str]], None] = _forget,
    ) -> None:
        self._variables = variables
        self._aws = aws
        self._files = files
        self._remember = remember

    def __call__(self, grants: Sequence[SecretGrant]) -> dict[str, str]:
        """The values, by name.

        Raises:
            SecretUnusable: one is missing, empty, denied, or not fit to be a secret.
        """
        values = {grant.name: self._value(grant) for grant in grants}
        self._remember(values.values())
        return values

    def _value(self, grant: SecretGrant) -> str:
        try:
            return checked(self._read(grant.source))
        except Unusable as exc:
            raise unusable(grant, exc.why, exc.hint) from exc

    def _read(self, source: str) -> str:
        scheme, _, rest = source.partition(":")
        match scheme:
            case "env":
                return self._of_environment(rest)
            case "file" if self._files:
                return _of_file(rest)
            case "aws-sm" | "aws-ssm":
                return self._aws(source)
            case _:
                raise Unusable(
                    "it is no reference that can be used here",
                    "Name it by env:NAME, aws-sm:ID or aws-ssm:NAME.",
                )

    def _of_environment(self, name: str) -> str:
        if not self._files and is_taken(name):
            raise Unusable(
                "the variable is one of AWS, the system or the worker",
                "Give the value a variable of its own by `secrets` of the Terraform module.",
            )
        found = self._variables([name])
        if name not in found:
            raise Unusable(
                f"no variable {name} is there",
                f"Set {name} where jobs are submitted: in the terminal, or for the MCP server "
                f'(Codex: env_vars = ["{name}"] of the server; Claude Code: "env" of the server). '
                f"For jobs in AWS give the containers {name} by `secrets` of the Terraform module.",
            )
        return found[name]


def is_taken(name: str) -> bool:
    """Whether a container's variable is one of AWS, the system or the worker: never a secret."""
    return _TAKEN.fullmatch(name) is not None


def _of_file(path: str) -> str:
    try:
        data = read_private(path, limit=MOST_BYTES + 1)
    except NotPrivate as exc:
        raise Unusable(exc.why, exc.hint) from exc
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Unusable("it is not UTF-8 text", "Put the value there as text.") from None


def checked(value: str) -> str:
    """A value that a variable can hold, and that can be taken out of output.

    Raises:
        Unusable: it is not.
    """
    if not value.strip():
        raise Unusable("it is empty", "Put the value there.")
    if len(value.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise Unusable(f"it has more than {MOST_BYTES:,} bytes", "Put the value alone there.")
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise Unusable("it holds characters that no variable can", "Put the value there as text.")
    if not can_be_found(value):
        raise Unusable(
            f"it has less than {SHORTEST} characters: it could not be taken out of output",
            "Use a longer value; what is so short is no secret.",
        )
    return value


def unusable(grant: SecretGrant, why: str, hint: str) -> SecretUnusable:
    """The one refusal of a secret."""
    return SecretUnusable(
        f"The secret {grant.name} ({grant.source}) cannot be used: {why}.", hint=hint
    )
