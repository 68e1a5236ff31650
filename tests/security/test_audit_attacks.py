"""Attacks on the audit by somebody who can write its files: found, with their place, or refused.

Whoever can write the folder can also put entries behind the newest one, or make a whole new chain;
what then knows better is the copy: see `tests/unit/storage/test_audit_copy.py`, and docs/audit.md.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_cloud_agents.cli.audit_table import show_links
from mcp_cloud_agents.domain.actor import Actor
from mcp_cloud_agents.domain.errors import AuditUnusable
from mcp_cloud_agents.governance.audit import Broken, Fault, Head, Verified, line_of, seal
from mcp_cloud_agents.storage.audit_files import AuditFiles
from tests.audit_entries import an_entry, audit_in

ENTRIES = 12
ROTATE = 1_500  # three files


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nobody touched."""
    folder = tmp_path_factory.mktemp("whole") / "audit"
    fill(folder)
    return folder


def fill(folder: Path) -> AuditFiles:
    audit = audit_in(folder, rotate_bytes=ROTATE)
    for number in range(1, ENTRIES + 1):
        audit.append(an_entry(job_id=f"j-{number}"))
    return audit


@contextmanager
def copied(whole: Path) -> Generator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(shutil.copytree(whole, Path(folder, "audit")))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def found(folder: Path) -> Broken:
    result = audit_in(folder).folder.verify()
    assert isinstance(result, Broken), result
    return result


def place(folder: Path, number: int) -> tuple[str, int]:
    """File and line that an entry stood in."""
    for path in reversed(files(folder)):
        first = int(path.stem)
        if first <= number:
            return str(path), number - first + 1
    raise AssertionError("there is a first file")


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


SPOT = st.tuples(st.integers(0, 2), st.integers(min_value=0))


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(spot=SPOT, flip=st.integers(1, 255))
def test_any_changed_byte_is_found_where_it_stands(
    whole: Path, spot: tuple[int, int], flip: int
) -> None:
    with copied(whole) as folder:
        path = files(folder)[spot[0]]
        data = bytearray(path.read_bytes())
        at = spot[1] % len(data)
        line = data.count(b"\n", 0, at) + 1
        data[at] ^= flip
        path.write_bytes(data)
        told = found(folder)
        ended = told.fault in {Fault.TRUNCATED, Fault.UNFINISHED}
        assert ended or (told.file, told.line) == (str(path), line)
        assert told.number == int(path.stem) + line - 1


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(spot=SPOT, junk=st.binary(min_size=1, max_size=40))
def test_any_inserted_bytes_are_found_where_they_stand(
    whole: Path, spot: tuple[int, int], junk: bytes
) -> None:
    with copied(whole) as folder:
        path = files(folder)[spot[0]]
        data = path.read_bytes()
        at = spot[1] % (len(data) + 1)
        path.write_bytes(data[:at] + junk + data[at:])
        told = found(folder)
        line = data.count(b"\n", 0, at) + 1
        assert (told.file, told.line) == (str(path), line) or len(lines_of(path)) < line


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(spot=SPOT, count=st.integers(1, 600))
def test_any_removed_bytes_are_found_where_they_stood(
    whole: Path, spot: tuple[int, int], count: int
) -> None:
    with copied(whole) as folder:
        path = files(folder)[spot[0]]
        data = path.read_bytes()
        at = spot[1] % len(data)
        path.write_bytes(data[:at] + data[at + count :])
        first_lost = int(path.stem) + data.count(b"\n", 0, at)
        assert found(folder).number == first_lost


@settings(max_examples=30, deadline=None, database=None, derandomize=True)
@given(numbers=st.sets(st.integers(1, ENTRIES), min_size=2, max_size=2))
def test_any_two_swapped_entries_are_found_at_the_first(whole: Path, numbers: set[int]) -> None:
    first, second = sorted(numbers)
    with copied(whole) as folder:
        at = {number: place(folder, number) for number in (first, second)}
        texts = {n: lines_of(Path(path))[line - 1] for n, (path, line) in at.items()}
        for number, other in ((first, second), (second, first)):
            path, line = at[number]
            lines = lines_of(Path(path))
            lines[line - 1] = texts[other]
            Path(path).write_bytes(b"".join(lines))
        told = found(folder)
        assert (told.file, told.line, told.number) == (*at[first], first)
        assert told.fault is Fault.REORDERED


@pytest.mark.parametrize("number", [1, 5, 6, 11, ENTRIES])
def test_an_entry_taken_out_is_missed_at_its_place(whole: Path, number: int) -> None:
    with copied(whole) as folder:
        path, line = place(folder, number)
        lines = lines_of(Path(path))
        Path(path).write_bytes(b"".join(lines[: line - 1] + lines[line:]))
        told = found(folder)
        assert told.number == number
        assert told.fault in {Fault.MISSING, Fault.TRUNCATED}
        assert f"entry {number} is missing" in told.said


@pytest.mark.parametrize(("which", "missing"), [(0, "1 to 5"), (1, "6 to 10"), (2, "11 to 12")])
def test_a_file_taken_away_is_missed_with_its_entries(
    whole: Path, which: int, missing: str
) -> None:
    with copied(whole) as folder:
        files(folder)[which].unlink()
        assert f"entries {missing} are missing" in found(folder).said


def test_two_files_that_changed_names_are_found(whole: Path) -> None:
    with copied(whole) as folder:
        first, second, _ = files(folder)
        one, two = first.read_bytes(), second.read_bytes()
        first.write_bytes(two)
        second.write_bytes(one)
        told = found(folder)
        assert (told.file, told.line, told.fault) == (str(first), 1, Fault.REORDERED)


def test_an_entry_written_anew_with_a_hash_that_fits_is_found_at_the_next(whole: Path) -> None:
    with copied(whole) as folder:
        forged = [*audit_in(folder).links()][6]
        path, line = place(folder, 7)
        lines = lines_of(Path(path))
        before = Head(number=6, hash=forged.previous)
        lines[line - 1] = line_of(seal(an_entry(reason="nothing to see"), after=before))
        Path(path).write_bytes(b"".join(lines))
        told = found(folder)
        assert (told.line, told.number, told.fault) == (line + 1, 8, Fault.REPLACED)


def test_a_chain_written_anew_from_an_entry_on_is_known_by_the_head(whole: Path) -> None:
    with copied(whole) as folder:
        links = [*audit_in(folder).links()]
        path = files(folder)[-1]
        head = Head(number=10, hash=links[10].previous)
        data = b""
        for _ in links[10:]:
            link = seal(an_entry(reason="forged"), after=head)
            head = Head(number=link.number, hash=link.hash)
            data += line_of(link)
        path.write_bytes(data)
        told = found(folder)
        assert (told.number, told.fault) == (ENTRIES, Fault.REPLACED)
        with pytest.raises(AuditUnusable):
            audit_in(folder).append(an_entry())


def test_a_chain_that_was_taken_away_with_its_head_begins_no_new_one(whole: Path) -> None:
    with copied(whole) as folder:
        for path in (*files(folder), folder / "head"):
            path.unlink()
        assert found(folder).fault is Fault.UNREADABLE
        with pytest.raises(AuditUnusable, match="head is not there"):
            audit_in(folder).append(an_entry())
        (folder / "machine").unlink()  # that is a new folder: only the copy knows better
        assert audit_in(folder).append(an_entry()).number == 1


def test_a_cut_chain_is_not_healed_by_the_next_entry(whole: Path) -> None:
    with copied(whole) as folder:
        files(folder)[-1].unlink()
        for _ in range(2):
            with pytest.raises(AuditUnusable, match="number 12 was written"):
                audit_in(folder).append(an_entry())
        assert found(folder).fault is Fault.TRUNCATED


@pytest.mark.parametrize("name", ["head", "00000001.jsonl"])
def test_a_link_in_place_of_a_file_leads_nowhere(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / name).symlink_to(victim)
    with pytest.raises(AuditUnusable):
        audit_in(tmp_path / "audit").append(an_entry())
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_and_never_waited_for(
    tmp_path: Path, make: Callable[[str], None]
) -> None:
    fill(tmp_path / "audit")
    last = files(tmp_path / "audit")[-1]
    last.unlink()
    make(str(last))
    with pytest.raises(AuditUnusable):
        audit_in(tmp_path / "audit").append(an_entry())


def test_an_entry_cannot_smuggle_a_second_line(tmp_path: Path) -> None:
    audit = audit_in(tmp_path / "audit")
    evil = 'x"},"hash":"' + "0" * 64 + '"}\n{"number":2,"previous":"'
    audit.append(an_entry(reason=evil, actor=Actor(client=evil), details=((evil, evil),)))
    assert len(lines_of(files(tmp_path / "audit")[0])) == 1
    assert isinstance(audit.folder.verify(), Verified)
    assert [link.entry.reason for link in audit.links()] == [evil]


def test_a_forged_entry_cannot_steer_the_terminal_that_shows_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = audit_in(tmp_path / "audit")
    evil = "\x1b]0;owned\x07a\tb\nc\u202e"
    (tmp_path / "audit").mkdir()
    link = seal(an_entry(at=1e300, job_id=evil, reason=evil), after=Head(number=0, hash="0" * 64))
    files_path = tmp_path / "audit/00000001.jsonl"
    files_path.write_bytes(line_of(link))
    show_links(audit.folder.last(1))
    shown = capsys.readouterr().out
    assert (shown.count("\n"), shown.count("\t")) == (1, 6)
    assert not set("\x1b\x07\u202e") & set(shown)
