"""`configure aws`: the outputs of the Terraform module become the table `[aws]` of one's own file.

The rest of the file stays byte for byte, comments included; what a person set in `[aws]` by hand
and the module does not know (`queue`, `vcpus`, `attempts`, `tags`, …) stays too. No secret is read
or written: credentials are the SDK's own matter.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, cast

import typer

from mcp_cloud_agents.cli.configure_team import team
from mcp_cloud_agents.cli.session import REFUSED, say, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, BadConfig
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.domain.toml import read_toml
from mcp_cloud_agents.settings import Knobs, checked_aws, config_file

Json = dict[str, Any]
_OUTPUTS = {
    "region": "region",
    "account_id": "account_id",
    "bucket": "bucket",
    "audit_bucket": "audit_bucket",
    "queues": "queues",
    "job_definitions": "job_definitions",
    "log_group": "log_group",
    "events_queue_url": "events_queue_url",
    "image": "image",
    "profile": "network",
    "ephemeral_storage_gib": "ephemeral_storage_gib",
}
"""Output of the module → key of the table; other outputs are not needed here."""
_NEEDED = ("region", "account_id", "bucket", "queues", "job_definitions")
_MAX_BYTES = 1 << 20
_HEADER = re.compile(r"^\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_AGAIN = "Run: terraform output -json | mcp-cloud-agents configure aws --from-terraform -"

app = typer.Typer(help="Write this program's settings.", no_args_is_help=True)


@app.callback()
def configure() -> None:
    """Write this program's settings."""


app.command("team")(team)


@app.command()
def aws(
    from_terraform: Annotated[
        str,
        typer.Option(
            "--from-terraform",
            metavar="FILE",
            help="What `terraform output -json` printed; - reads it from stdin.",
        ),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would change.")
    ] = False,
) -> None:
    """Run jobs in your own AWS account: takes the outputs of the Terraform module."""
    path = config_file()
    try:
        given = _read(from_terraform)
        outputs, shared = read_outputs(given, from_terraform), team_table(given)
        old = _old(path)
        new = with_aws(old, outputs, file=path)
    except AgentsError as exc:
        tell(exc)
    changes = changes_of(old, new)
    for line in changes:
        write(f"{render_text(line)}\n")
    if shared:
        say(f'a limit for your team: [budget.team] table = "{render_text(shared)}" (docs/costs.md)')
    if not changes:
        say(f"{path} says so already; nothing was changed")
    elif dry_run:
        say(f"nothing was written; without --dry-run it goes to {path}")
    else:
        _replace(path, new)
        say(f"wrote {path}")
        say("next  mcp-cloud-agents doctor")


def read_outputs(data: bytes, source: str) -> Json:
    """The keys of `[aws]` that the module gives.

    Raises:
        BadConfig: it is not what `terraform output -json` prints for the module.
    """
    try:
        found: object = json.loads(data)
    except ValueError as exc:
        raise BadConfig(f"{source}: no JSON: {exc}.", hint=_AGAIN) from exc
    if not isinstance(found, dict) or not found:
        raise BadConfig(
            f"{source}: there are no outputs in it.",
            hint=f"Run terraform apply first, in the folder of the root module. {_AGAIN}",
        )
    outputs = _flattened(cast("Json", found))
    missing = [name for name in _NEEDED if not outputs.get(name)]
    if missing:
        raise BadConfig(
            f"{source}: the outputs {', '.join(missing)} are missing.",
            hint="Pass the module's outputs on in your root module, as its examples do, under the "
            "same names.",
        )
    return {key: outputs[name] for name, key in _OUTPUTS.items() if outputs.get(name)}


def team_table(data: bytes) -> str:
    """The name of the team's budget table among the outputs; empty: the module made none."""
    name = _flattened(cast("Json", json.loads(data))).get("team_budget_table")
    return name if isinstance(name, str) else ""


def _flattened(found: Json) -> Json:
    """Values of outputs; a root may give the whole module as one output."""
    values = {
        name: cast("Json", one)["value"]
        for name, one in found.items()
        if isinstance(one, dict) and "value" in one
    }
    for value in list(values.values()):
        if isinstance(value, dict) and set(_NEEDED) <= set(cast("Json", value)):
            return cast("Json", value)
    return values


def with_aws(old: str, outputs: Mapping[str, Any], *, file: str) -> str:
    """The file's text with the table in it.

    Raises:
        BadConfig: the file is wrong already, or would be with this table.
    """
    read_toml(old.encode(), Knobs, file=file)
    mine = {
        key: value
        for key, value in cast("Json", tomllib.loads(old).get("aws", {})).items()
        if key not in _OUTPUTS.values()
    }
    kept = _without_aws(old).rstrip("\n")
    table = _table({**outputs, **mine})
    new = f"{kept}\n\n{table}" if kept else table
    knobs = read_toml(new.encode(), Knobs, file=file)
    checked_aws(knobs.aws, file)
    before, after = tomllib.loads(old), tomllib.loads(new)
    before.pop("aws", None)
    after.pop("aws", None)
    if before != after:
        raise BadConfig(
            f"{file}: its table [aws] is written in a way that cannot be replaced without harm.",
            hint="Remove it by hand, then run the command again.",
        )
    return new


def _without_aws(text: str) -> str:
    """Without `[aws]` and `[aws.…]`; comments above the next table stay with it."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header is not None:
            inside = header["name"].split(".")[0].strip(" \"'") == "aws"
        if not inside:
            kept.append(line)
    return "".join(kept)


def _table(values: Mapping[str, Any]) -> str:
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    inner = {key: cast("Json", value) for key, value in values.items() if key not in plain}
    lines = ["[aws]", *(f"{key} = {_value(value)}" for key, value in plain.items())]
    for key, table in inner.items():
        rows = (f"{_key(name)} = {_value(one)}" for name, one in table.items())
        lines += ["", f"[aws.{key}]", *rows]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    """As TOML; a JSON string is a basic string of TOML, when DEL is escaped too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def changes_of(old: str, new: str) -> list[str]:
    """One line for each value that is another one now."""
    before, after = (_rows(tomllib.loads(text).get("aws", {})) for text in (old, new))
    names = [*before, *(name for name in after if name not in before)]
    lines: list[str] = []
    for name in names:
        was, now = before.get(name), after.get(name)
        if was is None:
            lines.append(f"+ aws.{name} = {now}")
        elif now is None:
            lines.append(f"- aws.{name} = {was}")
        elif was != now:
            lines.append(f"~ aws.{name} = {was} -> {now}")
    return lines


def _rows(table: Mapping[str, Any]) -> dict[str, str]:
    rows: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            inner = cast("Json", value).items()
            rows |= {f"{key}.{name}": _value(one) for name, one in inner}
        else:
            rows[key] = _value(value)
    return rows


def _read(source: str) -> bytes:
    if source == "-":
        return sys.stdin.buffer.read(_MAX_BYTES)
    try:
        with open(source, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as exc:
        raise BadConfig(
            f"{source}: cannot be read: {exc.strerror}.", hint="Name a file, or - for stdin."
        ) from exc


def _old(path: str) -> str:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as exc:
        raise BadConfig(
            f"{path}: cannot be read: {exc}.", hint="Make it a readable UTF-8 file, or remove it."
        ) from exc


def _replace(path: str, text: str) -> None:
    """Whole or not at all; a link stays a link, and the mode stays."""
    real = os.path.realpath(path)
    temporary = f"{real}.{os.getpid()}.new"
    try:
        os.makedirs(os.path.dirname(real), mode=0o700, exist_ok=True)
        mode = os.stat(real).st_mode & 0o777 if os.path.exists(real) else 0o600
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as exc:
        _refuse(f"{path} cannot be written: {exc.strerror}", "Give yourself write permission.")


def _refuse(what: str, hint: str) -> NoReturn:
    say(f"error: {what}")
    say(f"next  {hint}")
    raise typer.Exit(REFUSED)
