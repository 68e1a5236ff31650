"""What a local job's supervisor is handed besides its folder: through a pipe, never by disk."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Values, which no text of this object shows."""

    keys: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Variables of the person's environment that hold keys of the job's models, by name."""
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Of the job's grants, by name."""

    def __bool__(self) -> bool:
        """Whether there is anything to hand over."""
        return bool(self.keys or self.secrets)
