"""Growth of folders: what counts, what does not, and what is hidden."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from mcp_cloud_agents.sandbox.disk_watch import DiskWatch

MIB, KIB = 1 << 20, 1 << 10


def fill(path: Path, size: int) -> Path:
    path.write_bytes(b"x" * size)
    return path


def over(folders: Sequence[Path], limit: int, pids: Sequence[int] = ()) -> Callable[[], bool]:
    """A watch from now on; call it for one whole look, of as many slices as it takes."""
    watch = DiskWatch([str(folder) for folder in folders], limit, routine_s=0)
    return lambda: any(watch.over(pids) for _ in range(20))


def test_without_growth_nothing_is_over(tmp_path: Path) -> None:
    assert not over([tmp_path], KIB)()


def test_without_folders_nothing_is_over() -> None:
    assert not over([], 1)()


def test_growth_below_the_limit_is_not_over(tmp_path: Path) -> None:
    look = over([tmp_path], 200 * KIB)
    fill(tmp_path / "new", 150 * KIB)
    assert not look()


def test_growth_of_all_folders_together_is_over(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    look = over([one, two], 200 * KIB)
    fill(one / "new", 150 * KIB)
    (two / "deep").mkdir()
    fill(two / "deep" / "new", 150 * KIB)
    assert look()


def test_what_others_write_elsewhere_does_not_count(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    look = over([own], 200 * KIB)
    fill(tmp_path / "of somebody else", 400 * KIB)
    assert not look()


def test_what_was_there_before_does_not_count(tmp_path: Path) -> None:
    before = fill(tmp_path / "before", 400 * KIB)
    while time.time() < before.stat().st_ctime + 0.05:
        pass  # file times come from a clock of ticks
    assert not over([tmp_path], 200 * KIB)()


def test_setting_back_its_times_hides_no_file(tmp_path: Path) -> None:
    look = over([tmp_path], 200 * KIB)
    os.utime(fill(tmp_path / "new", 400 * KIB), (0, 0))
    assert look()


def test_a_file_with_several_names_counts_once(tmp_path: Path) -> None:
    look = over([tmp_path], 200 * KIB)
    first = fill(tmp_path / "first", 150 * KIB)
    for number in range(5):
        (tmp_path / f"name{number}").hardlink_to(first)
    assert not look()


def test_links_lead_nowhere(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    look = over([own], 200 * KIB)
    fill(other / "big", 400 * KIB)
    (own / "link").symlink_to(other)
    assert not look()


def test_many_empty_files_count_as_a_block_each(tmp_path: Path) -> None:
    look = over([tmp_path], MIB)
    for number in range(300):
        (tmp_path / str(number)).touch()
    assert look()


def test_open_files_without_a_name_count(tmp_path: Path) -> None:
    look = over([tmp_path], 200 * KIB, [os.getpid()])
    with fill(tmp_path / "gone", 400 * KIB).open("rb") as file:
        (tmp_path / "gone").unlink()
        assert look()
        assert not file.closed


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """Nobody frees 20 MiB of it at the same moment, as may happen on a disk."""
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("it needs a tmpfs at /dev/shm")
    path = Path(tempfile.mkdtemp(prefix="mca-test-", dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


def test_folders_nested_deeper_than_the_walk_goes_count_by_free_space(in_memory: Path) -> None:
    look = over([in_memory], 2 * MIB)
    deep = in_memory
    for _ in range(150):
        deep /= "d"
        deep.mkdir()
    fill(deep / "hidden", 20 * MIB)
    assert look()


def test_free_space_triggers_a_walk_long_before_the_routine(in_memory: Path) -> None:
    watch = DiskWatch([str(in_memory)], 2 * MIB)
    fill(in_memory / "new", 20 * MIB)
    assert watch.over(())


def test_a_walk_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    look = over([tmp_path], MIB)
    fill(tmp_path / "a" / "b" / "new", 3 * MIB)
    before = os.listdir("/proc/self/fd")
    assert look()
    assert os.listdir("/proc/self/fd") == before
