"""Set-up environments through a store: packed once, fetched elsewhere, never used when damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_cloud_agents.domain.sandbox import Limits
from mcp_cloud_agents.domain.setup import SetupPlan
from mcp_cloud_agents.sandbox.bubblewrap import Bubblewrap
from mcp_cloud_agents.storage.environments import EnvironmentFolder
from mcp_cloud_agents.storage.folder_store import FolderStore
from mcp_cloud_agents.worker.setup import Site, prepare
from mcp_cloud_agents.worker.shared_environments import SharedEnvironments

OWNER = 62_000 if os.geteuid() == 0 else None
KEY = "b" * 64
OBJECT = f"environments/{KEY}.tar.zst"
LIMITS = Limits(setup_timeout_s=60, memory_mib=512, processes=64, disk_mib=256, tmp_mib=32)


class Machine:
    """A worker's machine with an empty disk."""

    def __init__(self, folder: Path, store: FolderStore, **options: int) -> None:
        folder.mkdir(mode=0o711)
        self.log = b""
        self.folder = EnvironmentFolder(str(folder / "environments"), owner=OWNER)
        self.folder.open()
        self.shared = SharedEnvironments(store, str(folder / "packs"), **options)
        self.site = Site(
            sandbox=Bubblewrap(),
            folder=self.folder,
            uv="/bin/true",
            checkout=check_out,
            log=self._log,
            limits=LIMITS,
        )

    def _log(self, data: bytes) -> None:
        self.log += data

    def set_up(self, command: str) -> Path:
        """As a job does: fetch, have it, keep it. The environment's folder."""
        plan = SetupPlan(commands=(command,), key=KEY, source="a test")
        self.shared.bring(plan, self.site)
        prepared = prepare(plan, self.site)
        assert prepared.lock is not None, (prepared.cause, self.log)
        os.close(prepared.lock)
        self.how = prepared.how
        if prepared.how == "built":
            self.shared.keep(plan, self.site)
            self.shared.wait(30)
        return Path(self.folder.env(KEY))


MakeMachine = Callable[..., Machine]


def check_out(path: str) -> None:
    os.mkdir(path, 0o700)
    if OWNER is not None:
        os.chown(path, OWNER, OWNER)


@pytest.fixture
def store(open_path: Path) -> FolderStore:
    return FolderStore(str(open_path / "store"))


@pytest.fixture
def machine(open_path: Path, store: FolderStore) -> MakeMachine:
    probe = Bubblewrap().probe()
    if not probe.works:
        pytest.skip(f"bubblewrap does not start here: {probe.problem}")
    made: list[Machine] = []

    def make(**options: int) -> Machine:
        made.append(Machine(open_path / f"machine{len(made)}", store, **options))
        return made[-1]

    return make


def test_a_second_machine_fetches_what_the_first_one_built(
    machine: MakeMachine, store: FolderStore
) -> None:
    command = "mkdir /env/bin; echo tool > /env/bin/tool; chmod 755 /env/bin/tool; date > /env/at"
    first, second = machine(), machine()
    built = first.set_up(command)
    assert first.how == "built"
    assert [one.key for one in store.list("")] == [OBJECT]
    fetched = second.set_up("exit 1")
    assert second.how == "cached"
    assert (fetched / "at").read_text() == (built / "at").read_text()
    assert (fetched / "bin/tool").stat().st_mode & 0o777 == 0o755
    assert (fetched / "bin/tool").stat().st_mtime == (built / "bin/tool").stat().st_mtime
    assert b"was fetched" in second.log


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flipped(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def _longer(data: bytes) -> bytes:
    return data + b"x"


def _another(data: bytes) -> bytes:
    return b"no pack at all" * len(data)


@pytest.mark.parametrize("damage", [_cut, _flipped, _longer, _another])
def test_a_damaged_pack_is_built_again_and_replaced(
    machine: MakeMachine, store: FolderStore, damage: Callable[[bytes], bytes]
) -> None:
    first, second, third = machine(), machine(), machine()
    first.set_up("echo 1 > /env/number")
    data = store.get(OBJECT)
    assert data is not None
    store.put(OBJECT, damage(data))
    assert (second.set_up("echo 2 > /env/number") / "number").read_text() == "2\n"
    assert second.how == "built"
    assert b"the stored environment is not used" in second.log
    assert (third.set_up("exit 1") / "number").read_text() == "2\n"


def test_a_hostile_environment_is_packed_and_unpacked_inside_the_sandbox(
    machine: MakeMachine, open_path: Path
) -> None:
    command = (
        f"ln -s / /env/root; ln -s ../../../.. /env/up; mkfifo /env/pipe; ln -s {open_path} /env/e;"
        " truncate -s 200M /env/sparse; echo a > /env/one; ln /env/one /env/two;"
        " mkdir '/env/--checkpoint-action=exec=sh'; printf x > \"/env/$(printf 'new\\nline')\";"
        " mkdir -p /env/closed/in; chmod 500 /env/closed; chmod 4755 /env/one"
    )
    before = sorted(path.name for path in open_path.iterdir())
    first, second = machine(), machine()
    first.set_up(command)
    fetched = second.set_up("exit 1")
    assert sorted(path.name for path in open_path.iterdir()) == sorted(
        {*before, "machine0", "machine1", "store"}
    )
    assert os.readlink(fetched / "root") == "/"
    assert (fetched / "sparse").stat().st_size == 200 << 20
    assert (fetched / "sparse").stat().st_blocks < 1_000
    assert (fetched / "one").samefile(fetched / "two")
    owners = {path.lstat().st_uid for path in fetched.iterdir()}
    assert owners == {os.geteuid() if OWNER is None else OWNER}


def test_an_environment_that_tar_cannot_read_is_used_and_not_stored(
    machine: MakeMachine, store: FolderStore
) -> None:
    found = machine()
    found.set_up("mkdir /env/closed; echo x > /env/closed/x; chmod 0 /env/closed/x")
    assert found.how == "built"
    assert store.list("") == ()
    assert b"is not stored: tar ended with 2" in found.log


def test_an_environment_past_the_limit_is_used_and_not_stored(
    machine: MakeMachine, store: FolderStore
) -> None:
    found = machine(limit_bytes=1 << 20)
    assert (found.set_up("head -c 2M /dev/urandom > /env/large") / "large").exists()
    assert store.list("") == ()
    assert b"is not stored: it is larger than 1 MiB" in found.log


def test_a_pack_that_says_too_much_is_not_unpacked(
    machine: MakeMachine, store: FolderStore
) -> None:
    machine().set_up("head -c 2M /dev/zero > /env/large")
    assert store.list("")
    second = machine(limit_bytes=1 << 20)
    second.set_up("true")
    assert second.how == "built"
    assert b"bytes, and 1048576 are allowed" in second.log


def test_the_first_builder_s_pack_stays(machine: MakeMachine, store: FolderStore) -> None:
    first, second = machine(), machine()
    first.set_up("echo 1 > /env/number")
    data = store.get(OBJECT)
    plan = SetupPlan(commands=("echo 2 > /env/number",), key=KEY, source="a test")
    prepared = prepare(plan, second.site)
    assert prepared.lock is not None
    os.close(prepared.lock)
    second.shared.keep(plan, second.site)
    second.shared.wait(30)
    assert store.get(OBJECT) == data
