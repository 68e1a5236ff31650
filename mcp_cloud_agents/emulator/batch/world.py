"""What the emulated Batch needs from the rest of the emulated AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

LogLine = tuple[int, str]


class World(Protocol):
    """Logs, events and secrets; called on the engine's thread, so it must be quick."""

    def create_log_stream(self, group: str, stream: str) -> None:
        """Make a stream; the default group of Batch is made when it is missing.

        Raises:
            Refused: the group does not exist.
        """
        ...

    def put_log_lines(self, group: str, stream: str, lines: Sequence[LogLine]) -> None:
        """Append lines, each with its time in milliseconds. Lost when the stream is gone."""
        ...

    def publish(self, detail_type: str, resources: Sequence[str], detail: dict[str, Any]) -> None:
        """An event of source `aws.batch` to the default bus."""
        ...

    def secret(self, reference: str) -> str:
        """The value of a Secrets Manager secret or SSM parameter, by ARN or name.

        Raises:
            Refused: there is none.
        """
        ...
