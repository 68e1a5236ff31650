"""`doctor`: what works on this machine, what is enforced, and the remedy for what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from mcp_cloud_agents.bootstrap import build_runner, job_owner, roots_of
from mcp_cloud_agents.cli.session import FAILED, PASSED, out
from mcp_cloud_agents.domain.errors import AgentsError
from mcp_cloud_agents.settings import load, values

if TYPE_CHECKING:
    from mcp_cloud_agents.settings import Settings

_MIN_GIT = (2, 36)
_LOW_GIB = 2
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"})
