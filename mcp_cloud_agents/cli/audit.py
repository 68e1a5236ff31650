"""`audit`: what was decided and done, and whether the record of it is whole."""

from __future__ import annotations

import os
import re
import sys
import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from mcp_cloud_agents.bootstrap.books import audit_copy
from mcp_cloud_agents.cli.audit_table import show_links
from mcp_cloud_agents.cli.session import FAILED, say, silence_stdout, tell, write
from mcp_cloud_agents.domain.errors import AgentsError, InvalidArgument
from mcp_cloud_agents.domain.rendering import render_text
from mcp_cloud_agents.governance.audit import Broken, Known, Verified, verify
from mcp_cloud_agents.ports.audit import Action
from mcp_cloud_agents.settings import load
from mcp_cloud_agents.storage.audit_folder import AuditFolder, read_lines
from mcp_cloud_agents.storage.state_folder import StateFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mcp_cloud_agents.settings import Settings
    from mcp_cloud_agents.storage.audit_copy import AuditCopy, Copied

_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}

app = typer.Typer(help="Show, check and copy the record of decisions.", no_args_is_help=True)


@app.command()
def show(
    job: Annotated[str, typer.Option("--job", metavar="ID", help="Only of this job.")] = "",
    since: Annotated[
        str, typer.Option("--since", help="Only from then on: 2026-11-30, or 90m, 24h, 7d ago.")
    ] = "",
    action: Annotated[Action | None, typer.Option("--action", help="Only of this kind.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the newest entries, the newest last; in a pipe with tabs between the columns.

    They are shown as they are stored; `verify` checks them.
    """
    try:
        from_at = _moment(since)
        wanted = (
            link
            for link in _folder(load()).newest()
            if link.entry.at >= from_at
            and (not job or link.entry.job_id == job)
            and action in (None, link.entry.action)
        )
        links = [*islice(wanted, limit)][::-1]
    except AgentsError as exc:
        tell(exc)
    if as_json:
        write("".join(f"{msgspec.json.encode(link).decode()}\n" for link in links))
    elif links:
        show_links(links)
    else:
        say("no such entries" if job or since or action else "no entries yet")


@app.command(name="verify")
def verify_(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE]...", help="Of an export or a copy, instead of this one's."),
    ] = None,
    *,
    cloud: Annotated[bool, typer.Option("--cloud", help="Against the copy, too.")] = False,
) -> None:
    """Check the whole chain: exit code 0, or 1 and the place where it breaks."""
    try:
        settings = load()
        result = _of_files(files) if files else _of_folder(settings, cloud=cloud)
    except AgentsError as exc:
        tell(exc)
    if isinstance(result, Broken):
        write(
            f"broken at {render_text(result.file) or 'the end'}, line {result.line}, entry "
            f"{result.number}: {result.fault}: {render_text(result.said)}\n"
        )
        say("next  keep the folder as it is, and compare it with an export or the copy")
        raise typer.Exit(FAILED)
    _tell_whole(result)
    if files:
        return
    if torn := _folder(settings).torn():
        say(f"{torn} unfinished lines were put aside as torn-*: of writers that were killed")
    if (copy := audit_copy(settings)) is not None:
        say(copy_text(copy.state()))


@app.command()
def export(
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="A new file; - is stdout.")
    ] = "-",
) -> None:
    """Write all entries as JSON lines, byte for byte as they are stored."""
    try:
        folder = _folder(load())
        if out == "-":
            count = _write_out(folder, sys.stdout.buffer.write)
            sys.stdout.flush()
        else:
            with open(out, "xb") as file:
                count = _write_out(folder, file.write)
    except AgentsError as exc:
        tell(exc)
    except BrokenPipeError:
        silence_stdout()
        raise typer.Exit(FAILED) from None
    except OSError as exc:
        wrong = f"{out} cannot be written: {exc.strerror}."
        tell(InvalidArgument(wrong, hint="Name a file that does not exist yet."))
    say(f"entries written: {count}")


@app.command()
def push() -> None:
    """Copy what is not there yet into the bucket of `audit_bucket`."""
    try:
        copied = _copy(load()).copy_pending(all_of_it=True)
    except AgentsError as exc:
        tell(exc)
    if copied.problem:
        say(f"error: {render_text(copied.problem)}")
    write(f"{copy_text(copied)}\n")
    if copied.problem:
        raise typer.Exit(FAILED)


def copy_text(copied: Copied) -> str:
    """How far the copy went, in a line."""
    where = f" in {copied.where}" if copied.where else ""
    done = f"the copy{where} ends with entry {copied.copied}"
    if copied.oldest_at is None:
        return f"{done}; nothing is left to copy"
    since = datetime.fromtimestamp(copied.oldest_at, UTC).isoformat(timespec="seconds")
    return f"{done}; {copied.pending} are not there, the oldest since {since}"


def _folder(settings: Settings) -> AuditFolder:
    return AuditFolder(StateFolder(settings.state_dir).audit)


def _copy(settings: Settings) -> AuditCopy:
    """Raises InvalidArgument where no bucket is set."""
    if (found := audit_copy(settings)) is None:
        raise InvalidArgument(
            "No bucket is set that the audit could be copied to.",
            hint="Turn on `audit` in the Terraform module and write its outputs by configure aws, "
            "or set audit_bucket in the table [aws] of your file.",
        )
    return found


def _of_files(files: Sequence[str]) -> Verified | Broken:
    """Any piece of a chain: what stands before it is believed."""
    lines = (line for one in files for line in read_lines(os.path.abspath(one)))
    return verify(lines, start=None)


def _of_folder(settings: Settings, *, cloud: bool) -> Verified | Broken:
    folder = _folder(settings)
    more: tuple[Known, ...] = ()
    if cloud:
        known = _copy(settings).known()
        more = () if known is None else (known,)
        say(f"the copy ends with entry {known.head.number}" if known else "the copy is empty")
    return folder.verify(more)


def _tell_whole(result: Verified) -> None:
    if not result.entries:
        say("no entries yet")
        return
    write(
        f"whole: {result.entries} entries, {result.first} to {result.head.number}, "
        f"last hash {result.head.hash}\n"
    )


def _write_out(folder: AuditFolder, put: Callable[[bytes], object]) -> int:
    count = 0
    for line in folder.lines():
        put(line.data)
        count += 1
    return count


def _moment(text: str) -> float:
    """Unix time of `2026-11-30`, `2026-11-30T12:00`, `90m`, `24h`, `7d`; 0.0 of nothing."""
    if not text:
        return 0.0
    if found := _AGO.fullmatch(text):
        return time.time() - int(found[1]) * _SECONDS[found[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError as exc:
        raise InvalidArgument(
            f"{text[:80]!r} is no moment.",
            hint="Write a date (2026-11-30), a time (2026-11-30T12:00), or how long ago: 90m, "
            "24h, 7d.",
        ) from exc
