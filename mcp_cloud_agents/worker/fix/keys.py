"""The keys of models: references in, values out; in memory only, and only in the worker.

    env:NAME     a variable of the environment that the job was submitted from, handed over through
                 a pipe (`backends/local/hand_over.py`); in a container, of its own environment
    file:/path   the first line of a file that nobody else can read

A message names the reference, never the value.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from mcp_cloud_agents.domain.errors import ModelUnusable
from mcp_cloud_agents.domain.handed import Handed
from mcp_cloud_agents.storage.private_file import NotPrivate, read_private

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_cloud_agents.domain.fix import FixOrder

_KEY_CHARACTERS = 16_384


def read_handed(fd: int | None) -> Handed:
    """Take the values that were handed over, and close the descriptor; None: there are none.

    Raises:
        msgspec.DecodeError: it is nothing that `hand_over` writes.
    """
    if fd is None:
        return Handed()
    with os.fdopen(fd, "rb") as pipe:
        return msgspec.json.decode(pipe.read(), type=Handed)


def resolve(order: FixOrder, handed: Mapping[str, str]) -> dict[str, str]:
    """The keys of an order's models by their references; models without a key have none.

    Args:
        order: names the models.
        handed: variables that were handed over, by name.

    Raises:
        ModelUnusable: a key is not there, or not fit to be one.
    """
    references = dict.fromkeys(route.key for route in order.models if route.key)
    return {reference: key_of(reference, handed) for reference in references}


def key_of(reference: str, handed: Mapping[str, str]) -> str:
    """The key that a reference names; see `resolve`."""
    scheme, _, rest = reference.partition(":")
    match scheme:
        case "env":
            return _checked(_of_environment(rest, handed), reference)
        case "file":
            return _checked(_first_line(rest, reference), reference)
        case _:
            raise ModelUnusable(
                "A model's key is named by something that is no reference.",
                hint='Write key = "env:NAME" or key = "file:/path", never the key itself.',
            )


def _of_environment(name: str, handed: Mapping[str, str]) -> str:
    if name in handed:
        return handed[name]
    raise ModelUnusable(
        f"The model's key is env:{name}, and no variable {name} was there when the job was "
        "submitted, or in the job's container.",
        hint=f"Set {name} where the job is submitted: in the terminal, or for the MCP server "
        f'(Codex: env_vars = ["{name}"] of the server; Claude Code: "env" of the server); or put '
        'the key into a file and name it by "file:/path". For jobs in AWS give the containers '
        f"{name} by `secrets` of the Terraform module.",
    )


def _first_line(path: str, reference: str) -> str:
    try:
        content = read_private(path, limit=2 * _KEY_CHARACTERS)
    except NotPrivate as exc:
        raise _refused(reference, exc.why, exc.hint) from exc
    return content.partition(b"\n")[0].decode("utf-8", "replace")


def _checked(key: str, reference: str) -> str:
    """The key without the blanks around it; it goes into a header, so it is one plain word."""
    key = key.strip()
    if not key:
        raise _refused(reference, "it is empty", "Put the key there, in the first line of a file.")
    if len(key) > _KEY_CHARACTERS:
        raise _refused(reference, "it is too long for a key", "Put the key alone there.")
    if not key.isascii() or not key.isprintable():
        raise _refused(reference, "it holds characters no key has", "Put the key alone there.")
    return key


def _refused(reference: str, why: str, hint: str) -> ModelUnusable:
    return ModelUnusable(f"The model's key {reference} cannot be used: {why}.", hint=hint)
