"""The person's settings, read once and frozen: default < file < environment, each with its source.

The file is `$XDG_CONFIG_HOME/mcp-cloud-agents/config.toml`. The environment's names are those of
the keys in capitals after `MCP_CLOUD_AGENTS_`, a table's key with the table's name before it
(`MCP_CLOUD_AGENTS_LIMITS_MEMORY_MIB`); lists are separated by `:`. An empty value and a literal
`${NAME}` count as unset: that is how MCP clients pass variables that they do not have. Tables of
free names (`setup_env`) are in the file only, and so are `[aws]`, `[fix]`, `[budget]` and
`[secrets]`: a repository can hand variables to a server by its MCP configuration, and must not
choose the account that trees are sent to, the host that a model key is sent to, what may be spent,
nor what its code may see.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

from msgspec import Meta, ValidationError, convert

from mcp_cloud_agents.domain.budget import BudgetTable
from mcp_cloud_agents.domain.errors import BadConfig
from mcp_cloud_agents.domain.fix_policy import FixPolicy
from mcp_cloud_agents.domain.limit_knobs import LimitKnobs
from mcp_cloud_agents.domain.sandbox import JOB_UID, IsolationLevel, Limits
from mcp_cloud_agents.domain.secret import SecretTable
from mcp_cloud_agents.domain.toml import parse, read_toml

NAME = "mcp-cloud-agents"
PREFIX = "MCP_CLOUD_AGENTS_"
_UNSET = re.compile(r"\s*(\$\{[^}]*\})?\s*")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

_FILE_ONLY = ("setup_env", "aws", "fix", "budget", "secrets")

Positive = Annotated[int, Meta(ge=1)]
VariableName = Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class AwsQueue(StrEnum):
    """A kind of job queue of the Terraform module."""

    FARGATE = "fargate"
    FARGATE_SPOT = "fargate_spot"
    EC2 = "ec2"
    GPU = "gpu"

    @property
    def on_instances(self) -> bool:
        """Whether its jobs run on EC2 instances: other sizes, a job definition of its own."""
        return self in (AwsQueue.EC2, AwsQueue.GPU)


class Architecture(StrEnum):
    """Of the processors of Fargate jobs."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


Region = Annotated[str, Meta(pattern=r"^$|^[a-z]{2}(-[a-z]+)+-\d$")]
AccountId = Annotated[str, Meta(pattern=r"^$|^\d{12}$")]
Bucket = Annotated[str, Meta(pattern=r"^$|^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
TagText = Annotated[str, Meta(min_length=1, max_length=128)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings:
    """The table `[aws]`: where jobs run in the person's account, as `configure aws` writes it."""

    region: Region = ""
    account_id: AccountId = ""
    bucket: Bucket = ""
    audit_bucket: Bucket = ""
    """Where the audit is copied to, best with Object Lock; empty: nowhere."""
    queues: dict[AwsQueue, str] = field(default_factory=dict[AwsQueue, str])
    """Names or ARNs of job queues."""
    job_definitions: dict[str, str] = field(default_factory=dict[str, str])
    """Names by architecture for Fargate; `ec2` and `gpu` for the queues of these names."""
    log_group: str = ""
    events_queue_url: str = ""
    image: str = ""
    network: str = ""
    """The module's network profile, to be told."""
    queue: AwsQueue = AwsQueue.FARGATE
    """Which of `queues` jobs go to."""
    architecture: Architecture = Architecture.X86_64
    vcpus: Annotated[float, Meta(gt=0, le=192)] = 2.0
    """The least a job gets; its memory may ask for more."""
    ephemeral_storage_gib: Annotated[int, Meta(ge=20, le=200)] = 20
    """Disk of a Fargate job as its definition has it: more than 20 is billed."""
    attempts: Annotated[int, Meta(ge=1, le=10)] = 3
    """How often a job is started at most; only a lost machine is a reason to start again."""
    required_isolation: IsolationLevel = IsolationLevel.CONTAINER
    """The weakest inside the container; on Fargate each job has a machine of its own besides."""
    image_python: Annotated[str, Meta(pattern=r"^3\.\d+$")] = "3.11"
    """Of the image's /usr/bin/python3."""
    credentials_profile: str = ""
    """Profile of the AWS configuration files; empty: what the SDK finds."""
    endpoint_url: str = ""
    """Of an emulator; empty: AWS, or AWS_ENDPOINT_URL."""
    tags: dict[TagText, TagText] = field(default_factory=dict[TagText, TagText])
    """For cost allocation, on every job."""

    @property
    def definition_key(self) -> str:
        """Which of `job_definitions` jobs are made from."""
        return str(self.queue if self.queue.on_instances else self.architecture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The keys of the file; the defaults that depend on the machine are empty or 0 here."""

    state_dir: str = ""
    allowed_roots: tuple[str, ...] = ()
    required_isolation: IsolationLevel = IsolationLevel.FULL
    limits: LimitKnobs = field(default_factory=LimitKnobs)
    max_file_mib: Positive = 50
    max_total_mib: Positive = 1_024
    allow_untracked: tuple[str, ...] = ()
    setup_env: dict[VariableName, str] = field(default_factory=dict[str, str])
    concurrent_jobs: Annotated[int, Meta(ge=0, le=256)] = 0
    keep_days: Positive = 30
    keep_gib: Positive = 10
    job_uid: Annotated[int, Meta(ge=1_000, lt=2**31)] = JOB_UID
    aws: AwsSettings = field(default_factory=AwsSettings)
    fix: FixPolicy = field(default_factory=FixPolicy)
    budget: BudgetTable = field(default_factory=BudgetTable)
    secrets: dict[VariableName, SecretTable] = field(default_factory=dict[str, SecretTable])


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the person decides, and where the server was started."""

    state_dir: str
    """Absolute. As root below /var/lib: jobs run as another user, who cannot pass a home."""
    allowed_roots: tuple[str, ...]
    """Absolute folders whose worktrees may be sent, besides the one the server was started in."""
    required_isolation: IsolationLevel
    limits: Limits
    max_file_mib: int
    """Largest untracked file that is sent."""
    max_total_mib: int
    """Largest sum of untracked files that is sent."""
    allow_untracked: tuple[str, ...]
    """Patterns of untracked files that are sent although they look like secrets or are large."""
    setup_env: tuple[tuple[str, str], ...]
    """Variables for set-up commands (e.g. UV_DEFAULT_INDEX); code of the repository sees them."""
    concurrent_jobs: int
    keep_days: int
    keep_gib: int
    job_uid: int
    search_path: str
    """The person's PATH, where toolchains are looked for."""
    home: str
    cwd: str
    sources: Mapping[str, str]
    """For each key `default`, `environment`, or the file's path."""
    file: str = ""
    """The person's file, which need not exist."""
    aws: AwsSettings | None = None
    """Where jobs run in AWS; None: nothing is configured."""
    fix: FixPolicy = field(default_factory=FixPolicy)
    """What fixing subagents may use and spend."""
    budget: BudgetTable = field(default_factory=BudgetTable)
    """What may be spent."""
    secrets: Mapping[str, SecretTable] = field(default_factory=dict[str, SecretTable])
    """By the variable that commands see."""


def load(environ: Mapping[str, str] | None = None, *, cwd: str = "", uid: int = -1) -> Settings:
    """Read the settings.

    Args:
        environ: variables to read instead of the process's own.
        cwd: folder the server works from; empty: the process's own.
        uid: user the server runs as; negative: the process's own.

    Raises:
        BadConfig: the message names the file and line, or the variable.
    """
    variables = _given(environ)
    uid = os.geteuid() if uid < 0 else uid
    home = _home(variables)
    file = config_file(variables)
    sources: dict[str, str] = {}
    knobs = _with_environment(_from_file(file, sources), variables, sources)
    return Settings(
        state_dir=_folder("state_dir", knobs.state_dir or _state_dir(variables, uid, home), home),
        allowed_roots=tuple(_folder("allowed_roots", root, home) for root in knobs.allowed_roots),
        required_isolation=knobs.required_isolation,
        limits=knobs.limits.limits(),
        max_file_mib=knobs.max_file_mib,
        max_total_mib=knobs.max_total_mib,
        allow_untracked=knobs.allow_untracked,
        setup_env=tuple(sorted(knobs.setup_env.items())),
        concurrent_jobs=knobs.concurrent_jobs or max(2, _cpus()),
        keep_days=knobs.keep_days,
        keep_gib=knobs.keep_gib,
        job_uid=knobs.job_uid,
        search_path=variables.get("PATH", _DEFAULT_PATH),
        home=home,
        cwd=cwd or _working_folder(),
        sources={name: sources.get(name, "default") for name in _names()},
        file=file,
        aws=None if knobs.aws == AwsSettings() else checked_aws(knobs.aws, file),
        fix=knobs.fix,
        budget=knobs.budget,
        secrets=knobs.secrets,
    )


def _now(file: str) -> Knobs:
    """The file as it is now; read again only when it was written since."""
    try:
        found = os.stat(file)
    except OSError:
        return _from_file(file, {})
    return _read_at(file, found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=8)
def _read_at(file: str, *_: int) -> Knobs:
    return _from_file(file, {})


def budget_in(file: str) -> BudgetTable:
    """What may be spent by the person's file as it is now. Raises BadConfig."""
    return _now(file).budget


def secrets_in(file: str) -> Mapping[str, SecretTable]:
    """The table `[secrets]` of the person's file as it is now. Raises BadConfig."""
    return _now(file).secrets


def config_file(environ: Mapping[str, str] | None = None) -> str:
    """Path of the person's file, which need not exist."""
    variables = _given(environ)
    return os.path.join(_xdg(variables, "CONFIG", _home(variables), ".config"), NAME, "config.toml")


def _given(environ: Mapping[str, str] | None) -> dict[str, str]:
    found = os.environ if environ is None else environ
    return {name: value for name, value in found.items() if not _UNSET.fullmatch(value)}


def variables(names: Sequence[str]) -> dict[str, str]:
    """The values of these variables of the environment; those that are unset are missing."""
    given = _given(None)
    return {name: given[name] for name in names if name in given}


def checked_aws(table: AwsSettings, file: str) -> AwsSettings:
    """The table `[aws]`, when its parts fit together.

    Raises:
        BadConfig: something is missing that every job needs.
    """
    needed = ("region", "bucket", "queues", "job_definitions")
    if missing := [name for name in needed if not getattr(table, name)]:
        raise BadConfig(
            f"{file}: the table [aws] lacks {', '.join(missing)}.",
            hint="Write it by: terraform output -json | mcp-cloud-agents configure aws "
            "--from-terraform -",
        )
    if table.queue not in table.queues:
        raise BadConfig(
            f"{file}: [aws.queues] has no {table.queue}; it has {', '.join(sorted(table.queues))}.",
            hint="Choose another queue, or turn this one on in the Terraform module.",
        )
    if table.definition_key not in table.job_definitions:
        raise BadConfig(
            f"{file}: [aws.job_definitions] has no {table.definition_key}.",
            hint="Write the table anew by configure aws, or choose another queue or architecture.",
        )
    return table


def _working_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError as exc:
        raise BadConfig(
            "The folder that the program was started in does not exist any more.",
            hint="Start it again in a folder that exists.",
        ) from exc


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _names() -> tuple[str, ...]:
    plain = (one.name for one in fields(Knobs) if one.name != "limits")
    return (*plain, *(f"limits.{one.name}" for one in fields(LimitKnobs)))


def _from_file(file: str, sources: dict[str, str]) -> Knobs:
    try:
        with open(file, "rb") as opened:
            data = opened.read()
    except (FileNotFoundError, NotADirectoryError):
        return Knobs()
    except OSError as exc:
        raise BadConfig(
            f"{file}: cannot be read: {exc.strerror}.",
            hint="Make the file readable for yourself, or remove it.",
        ) from exc
    knobs = read_toml(data, Knobs, file=file)
    sources.update(dict.fromkeys(_set_in(data, file), file))
    return knobs


def _set_in(data: bytes, file: str) -> list[str]:
    table = parse(data, file=file)
    limits = table.pop("limits", {})
    return [*table, *(f"limits.{name}" for name in limits)]


def _with_environment(knobs: Knobs, variables: Mapping[str, str], sources: dict[str, str]) -> Knobs:
    own = _read_variables(variables, Knobs, PREFIX, skip={"limits", *_FILE_ONLY})
    limits = _read_variables(variables, LimitKnobs, f"{PREFIX}LIMITS_", skip=set())
    sources.update(dict.fromkeys((*own, *(f"limits.{name}" for name in limits)), "environment"))
    return replace(knobs, **own, limits=replace(knobs.limits, **limits))


def _read_variables(
    variables: Mapping[str, str], shape: type, prefix: str, *, skip: set[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    hints = get_type_hints(shape, include_extras=True)
    for one in fields(shape):
        variable = prefix + one.name.upper()
        if one.name in skip or variable not in variables:
            continue
        text = variables[variable]
        raw = [part for part in text.split(":") if part] if isinstance(one.default, tuple) else text
        try:
            found[one.name] = convert(raw, hints[one.name], strict=False)
        except ValidationError as exc:
            raise BadConfig(
                f"The environment variable {variable} has the wrong value {text[:80]!r}: {exc}.",
                hint="Correct the variable, or unset it to get the default.",
            ) from exc
    return found


def _home(variables: Mapping[str, str]) -> str:
    home = variables.get("HOME", "")
    if os.path.isabs(home):
        return home
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container's uid without an account
        return "/"


def _xdg(variables: Mapping[str, str], kind: str, home: str, default: str) -> str:
    folder = variables.get(f"XDG_{kind}_HOME", "")
    return folder if os.path.isabs(folder) else os.path.join(home, default)  # relative: XDG says no


def _state_dir(variables: Mapping[str, str], uid: int, home: str) -> str:
    if uid == 0:
        return os.path.join("/var/lib", NAME)
    return os.path.join(_xdg(variables, "STATE", home, ".local/state"), NAME)


def _folder(key: str, path: str, home: str) -> str:
    full = os.path.join(home, path[2:]) if path.startswith("~/") else path
    if not os.path.isabs(full):
        raise BadConfig(
            f"The setting {key} is {path[:200]!r}, which is no absolute path.",
            hint="Write the whole path, or begin it with '~/'.",
        )
    return os.path.normpath(full)
