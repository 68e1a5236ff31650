"""The one error tree: each class has a stable code, and every error says what to do next.

AgentsError
├── BadRequest             the caller can mend it
│   ├── InvalidArgument        an argument's value makes no sense
│   ├── NotAWorktree           the workspace is no git worktree (or a bare repository)
│   ├── WorkspaceNotAllowed    the workspace is outside the roots the person allowed
│   ├── RefusedFiles           files that may not be sent: they look like secrets, or are too large
│   ├── UnreadableTree         git cannot read a path of the tree
│   ├── UnknownJob · UnknownArtifact
│   ├── NoPatch                the job has no patch: it is not done, or changed nothing
│   ├── PatchDamaged           bytes, trees and paths of a patch do not fit together or are not safe
│   ├── PatchTooLarge          a patch has more bytes or paths than are applied
│   ├── PatchConflict          the worktree has changed in the same places; nothing was written
│   ├── ProtectedPaths         tools obey what a patch changes: a person has to agree
│   ├── WrongWorktree          the patch is of another worktree, or of another repository
│   ├── BaseMissing            the snapshot that a patch was made on is not on this machine any more
│   ├── BranchUnusable         a branch exists, its name is none, or it cannot hold the patch
│   ├── NothingToUndo          the job was not applied here, or what is needed was cleaned up
│   ├── ModelUnusable          a model's price is unknown, or its key is not there
│   ├── SecretUnusable         a secret is not there, or may not be used here
│   ├── NothingToApprove       the job does not wait for a person
│   └── BadConfig              a configuration file is wrong
├── NotAllowed             a person, or what a person wrote down, says no; nothing was started
│   ├── PolicyDenied           a rule says no
│   ├── OverBudget             a limit on money would be passed
│   └── Stopped                everything was stopped by a person
├── IsolationUnavailable   the sandbox that was asked for does not start here
├── StateUnusable          the state folder cannot be written, or a newer version wrote it
├── LedgerUnusable         nobody can say what may still be spent, so nothing that costs is started
├── AuditUnusable          what is done could not be written down, so it is not done
├── JobCorrupt             a job's folder was damaged
├── NoSpace                the disk is full
└── BackendFailed          the place where jobs run did not answer as it should
    ├── StoreUnavailable       the shared store cannot be reached now; calling again can help
    ├── StoreDenied            the shared store refuses; somebody has to change something first
    └── BackendUnavailable     it cannot start jobs now; nothing was started there
        ├── CloudCredentials       no credentials for AWS, or they have expired
        ├── CloudDenied            a permission is missing; the message names action and resource
        ├── CloudMisconfigured     queue, definition, bucket, region or account is not as configured
        └── CloudUnreachable       AWS cannot be reached, or is failing; it may pass by itself
            └── CloudThrottled         it answers that there were too many calls
"""

from __future__ import annotations

from typing import ClassVar


class AgentsError(Exception):
    """Anything this program refuses or cannot do.

    Attributes:
        code: stable snake_case name, for programs.
        message: what happened, one sentence, for people and models.
        hint: what to do next, one sentence.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadRequest(AgentsError):
    """The caller can mend it."""

    code = "bad_request"


class InvalidArgument(BadRequest):
    """An argument's value makes no sense."""

    code = "invalid_argument"


class NotAWorktree(BadRequest):
    """The workspace is not a git worktree, or is a bare repository."""

    code = "not_a_worktree"


class WorkspaceNotAllowed(BadRequest):
    """The workspace lies outside the roots that the person allowed."""

    code = "workspace_not_allowed"


class BadPaths(BadRequest):
    """Some paths are the reason.

    Attributes:
        paths: relative to the top of the worktree, each with its reason.
    """

    def __init__(self, message: str, *, hint: str, paths: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message, hint=hint)
        self.paths = paths


class RefusedFiles(BadPaths):
    """Untracked files look like secrets or are too large to send."""

    code = "refused_files"


class UnreadableTree(BadRequest):
    """Git cannot take some path of the tree: no permission, or a nested repository."""

    code = "unreadable_tree"


class UnknownJob(BadRequest):
    """No job has this id."""

    code = "unknown_job"


class UnknownArtifact(BadRequest):
    """The job has no artifact of this name."""

    code = "unknown_artifact"


class NoPatch(BadRequest):
    """The job has no patch: it is not done, it failed, or it changed nothing."""

    code = "no_patch"


class PatchDamaged(BadPaths):
    """Bytes, trees and paths of a patch do not fit together, or a path is not safe."""

    code = "patch_damaged"


class PatchTooLarge(BadRequest):
    """A patch has more bytes or paths than are applied; nothing was written."""

    code = "patch_too_large"


class PatchConflict(BadPaths):
    """The worktree has changed in the same places; nothing was written."""

    code = "patch_conflict"


class ProtectedPaths(BadPaths):
    """Tools obey some of the paths that a patch changes: a person has to agree."""

    code = "protected_paths"


class WrongWorktree(BadRequest):
    """The patch is of another worktree, or of another repository."""

    code = "wrong_worktree"


class BaseMissing(BadRequest):
    """The snapshot that a patch was made on is not on this machine any more."""

    code = "base_missing"


class BranchUnusable(BadPaths):
    """A branch exists already, its name is none, or it cannot hold the patch as it is."""

    code = "branch_unusable"


class NothingToUndo(BadRequest):
    """The job was not applied to this worktree, or what is needed was cleaned up."""

    code = "nothing_to_undo"


class ModelUnusable(BadRequest):
    """A model cannot be asked: its price is unknown, its key missing, its program not installed."""

    code = "model_unusable"


class SecretUnusable(BadRequest):
    """A secret is not there, is empty, or may not be used by this subagent or phase."""

    code = "secret_unusable"


class NothingToApprove(BadRequest):
    """The job does not wait for a person: it has started, ended, or was never asked about."""

    code = "nothing_to_approve"


class BadConfig(BadRequest):
    """A configuration file cannot be used; the message names file, line and key."""

    code = "bad_config"


class NotAllowed(AgentsError):
    """A person, or what a person wrote down, says no; nothing was started or spent."""

    code = "not_allowed"


class PolicyDenied(NotAllowed):
    """A rule of a policy says no."""

    code = "policy_denied"


class OverBudget(NotAllowed):
    """A limit on money would be passed; the message has the numbers."""

    code = "over_budget"


class Stopped(NotAllowed):
    """A person stopped everything; nothing starts until a person resumes."""

    code = "stopped"


class IsolationUnavailable(AgentsError):
    """The sandbox that was asked for does not start on this machine."""

    code = "isolation_unavailable"


def too_weak(required: str, problem: str, remedy: str) -> IsolationUnavailable:
    """The one refusal of a sandbox that does not start, or is weaker than asked for."""
    return IsolationUnavailable(
        f"No sandbox of level '{required}' starts here: {problem.rstrip('.')}.", hint=remedy
    )


class StateUnusable(AgentsError):
    """The state folder cannot be written, or was written by a newer version."""

    code = "state_unusable"


class LedgerUnusable(AgentsError):
    """Nobody can say what may still be spent: the ledger is damaged, locked or out of reach."""

    code = "ledger_unusable"


class AuditUnusable(AgentsError):
    """What is about to be done could not be written down, so it is not done."""

    code = "audit_unusable"


class JobCorrupt(AgentsError):
    """A job's folder was damaged; what is left of it stays on disk."""

    code = "job_corrupt"


class NoSpace(AgentsError):
    """The disk is full."""

    code = "no_space"


class BackendFailed(AgentsError):
    """The place where jobs run did not answer as it should."""

    code = "backend_failed"


class BackendUnavailable(BackendFailed):
    """The place where jobs run cannot start any now; nothing was started there."""

    code = "backend_unavailable"


class CloudCredentials(BackendUnavailable):
    """There are no credentials for AWS, or they have expired."""

    code = "cloud_credentials"


class CloudDenied(BackendUnavailable):
    """A permission is missing; the message names action and resource as AWS named them."""

    code = "cloud_denied"


class CloudMisconfigured(BackendUnavailable):
    """A queue, job definition, bucket, region or account is not what the settings say."""

    code = "cloud_misconfigured"


class CloudUnreachable(BackendUnavailable):
    """AWS cannot be reached, or is failing; it may pass by itself."""

    code = "cloud_unreachable"


class CloudThrottled(CloudUnreachable):
    """AWS answers that there were too many calls."""

    code = "cloud_throttled"


class StoreUnavailable(BackendFailed):
    """The shared store cannot be reached now: network, throttling, expired credentials."""

    code = "store_unavailable"


class StoreDenied(BackendFailed):
    """The shared store refuses: a permission, the bucket, the region or credentials are wrong."""

    code = "store_denied"
