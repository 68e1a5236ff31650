"""What a person said about the configuration of repositories."""

from __future__ import annotations

from typing import Protocol


class Trust(Protocol):
    """Blocks; any thread and process may ask at any time."""

    def of(self, common_dir: str, digest: str) -> bool:
        """Whether a person trusted exactly this configuration of this repository.

        Args:
            common_dir: real path of the repository's common git dir: another clone is another one.
            digest: what `agents.trust.config_digest` gives.

        Raises:
            StateUnusable, NoSpace: nobody can say, so it is not trusted.
        """
        ...
