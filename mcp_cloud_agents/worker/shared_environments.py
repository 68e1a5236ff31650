"""Set-up environments that jobs on many machines share, as sealed packs in the store.

What set-up commands left is hostile: it is packed and unpacked by `tar` inside the sandbox, as the
jobs' user. A pack that is damaged is built again and replaced, never used.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.domain.sandbox import Bind, Confinement
from mcp_cloud_agents.storage.environments import Mark
from mcp_cloud_agents.storage.sealed_pack import DamagedPack, SealedPack, unseal
from mcp_cloud_agents.storage.trees import size_of
from mcp_cloud_agents.worker.run import Watch, run

if TYPE_CHECKING:
    from mcp_cloud_agents.domain.setup import SetupPlan
    from mcp_cloud_agents.ports.store import Store
    from mcp_cloud_agents.storage.environments import Build
    from mcp_cloud_agents.worker.setup import Site

_log = logging.getLogger(__name__)
_PACK = "cd /env && exec tar --create --format=posix --sparse --file=- . 2>/dev/null"
_UNPACK = (
    "exec tar --extract --preserve-permissions --no-same-owner --file=/pack/env.tar"
    " --directory=/env 2>/dev/null"
)
_PACK_WITHIN_S = 300.0
_UNPACK_WITHIN_S = 300.0


class SharedEnvironments:
    """Brings an environment from the store before set-up, keeps one there after it was built.

    Args:
        store: where packs are.
        folder: a folder of ours for files on the way, on the disk of the environments.
        limit_bytes: of a pack, and of the archive in it; a larger one is built each time.
    """

    def __init__(self, store: Store, folder: str, *, limit_bytes: int = 4 << 30) -> None:
        self._store = store
        self._folder = folder
        self._limit = limit_bytes
        self._damaged: set[str] = set()
        self._uploads: list[threading.Thread] = []

    def bring(self, plan: SetupPlan, site: Site) -> None:
        """Have the plan's environment in the local folder, if the store has it; never raises."""
        if not plan.commands or site.folder.mark(plan.key) is not None:
            return
        started_at = time.monotonic()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        sealed = os.path.join(self._folder, f"{plan.key}.tar.zst")
        try:
            if not self._store.download(_key(plan), sealed, limit=self._limit + 1):
                return
            self._unpack(sealed, plan, site)
        except (DamagedPack, AgentsError, OSError) as exc:
            if isinstance(exc, DamagedPack):
                self._damaged.add(plan.key)
            site.log(f"# the stored environment is not used: {exc}\n".encode())
        else:
            seconds = time.monotonic() - started_at
            site.log(f"# environment {plan.key[:12]} was fetched in {seconds:.1f} s\n".encode())
        finally:
            _remove(sealed)

    def keep(self, plan: SetupPlan, site: Site) -> None:
        """Pack what was built, now: its job's command may change it. Sent meanwhile; never raises.

        The first builder's stays, unless it was found to be damaged.
        """
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        sealed = os.path.join(self._folder, f"{plan.key}.new")
        try:
            if plan.key not in self._damaged and self._store.size(_key(plan)) is not None:
                return
            why = self._pack(sealed, plan, site)
        except (AgentsError, OSError) as exc:
            why = str(exc)
        if why:
            site.log(f"# the environment is not stored: {why}\n".encode())
            _remove(sealed)
            return
        upload = threading.Thread(target=self._send, args=(sealed, plan), daemon=True)
        upload.start()
        self._uploads.append(upload)

    def wait(self, timeout_s: float) -> None:
        """Let uploads end."""
        deadline = time.monotonic() + timeout_s
        for upload in self._uploads:
            upload.join(max(0.0, deadline - time.monotonic()))

    def _send(self, sealed: str, plan: SetupPlan) -> None:
        try:
            with open(sealed, "rb") as file:
                if plan.key in self._damaged:
                    self._store.put(_key(plan), file)
                else:
                    self._store.put_new(_key(plan), file)
        except (AgentsError, OSError):
            _log.warning("environment_not_stored", exc_info=True)
        finally:
            _remove(sealed)

    def _pack(self, sealed: str, plan: SetupPlan, site: Site) -> str:
        """Why there is no pack; empty when there is one."""
        confinement = Confinement(
            binds=(Bind(host=site.folder.env(plan.key), inside="/env"),),
            limits=site.limits,
            cwd="/",
        )
        with SealedPack(sealed, limit_bytes=self._limit) as pack:
            watch = Watch(
                timeout_s=_PACK_WITHIN_S,
                cancelled=lambda: pack.too_large or site.cancelled(),
                tick=site.tick,
            )
            argv = ["/bin/sh", "-c", _PACK]
            ran = run(site.sandbox, argv, confinement, sink=pack.feed, watch=watch)
        if pack.too_large:
            return f"it is larger than {self._limit >> 20} MiB"
        return "" if ran.exit_code == 0 else f"tar ended with {ran.exit_code}"

    def _unpack(self, sealed: str, plan: SetupPlan, site: Site) -> None:
        lock = site.folder.try_lock(plan.key, exclusive=True)
        if lock is None:  # somebody builds it here at this moment
            return
        build = site.folder.begin()
        try:
            self._extract(sealed, build, site)
            mark = Mark(
                source=plan.source,
                built_at=time.time(),
                duration_s=0.0,
                size_bytes=size_of(build.env),
            )
            site.folder.complete(plan.key, build, mark)
        finally:
            build.abandon()
            os.close(lock)

    def _extract(self, sealed: str, build: Build, site: Site) -> None:
        pack = os.path.join(build.folder, "pack")
        os.mkdir(pack)
        os.chmod(pack, 0o755)  # noqa: S103  the jobs' user reads it, whatever the umask
        unseal(sealed, os.path.join(pack, "env.tar"), limit_bytes=self._limit)
        confinement = Confinement(
            binds=(
                Bind(host=pack, inside="/pack"),
                Bind(host=build.env, inside="/env", writable=True),
            ),
            limits=site.limits,
            cwd="/",
        )
        watch = Watch(
            timeout_s=_UNPACK_WITHIN_S,
            disk=(build.env,),
            cancelled=site.cancelled,
            tick=site.tick,
        )
        argv = ["/bin/sh", "-c", _UNPACK]
        ran = run(site.sandbox, argv, confinement, sink=lambda _: None, watch=watch)
        os.unlink(os.path.join(pack, "env.tar"))
        os.rmdir(pack)
        if ran.stopped is not None or ran.exit_code != 0:
            raise DamagedPack(f"tar ended with {ran.exit_code}")


def _key(plan: SetupPlan) -> str:
    return f"environments/{plan.key}.tar.zst"


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)
