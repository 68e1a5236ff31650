"""The uv program of our own dependency, at a place where jobs can reach it."""

from __future__ import annotations

import os
import shutil
import tempfile

from mcp_cloud_agents.environments.reach import barred


def uv_program(tools: str, *, job_uid: int | None) -> str:
    """Host path of the uv program.

    Args:
        tools: folder of ours that jobs may pass through; a copy is kept there when uv itself is
            installed where the jobs' user cannot go (in a home folder, for instance).
        job_uid: host user of the jobs when it is another one than ours.

    Raises:
        FileNotFoundError: the dependency is installed without its program.
    """
    import uv

    program = os.path.realpath(uv.find_uv_bin())
    if job_uid is None or barred(program, job_uid) is None:
        return program
    status = os.stat(program)
    copy = os.path.join(tools, f"uv-{status.st_size}-{status.st_mtime_ns}")
    if not os.path.exists(copy):
        os.makedirs(tools, exist_ok=True)
        os.chmod(tools, 0o711)  # noqa: S103  jobs pass through, whatever the umask is
        with tempfile.NamedTemporaryFile(dir=tools, delete=False) as temporary:
            with open(program, "rb") as source:
                shutil.copyfileobj(source, temporary)
            os.fchmod(temporary.fileno(), 0o755)
        os.rename(temporary.name, copy)
    return copy
