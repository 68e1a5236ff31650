"""A labelled line in a terminal. All text is printed as text, never as markup."""

from __future__ import annotations

from mcp_cloud_agents.cli.session import out
from mcp_cloud_agents.domain.rendering import render_text


def line(label: str, text: str, style: str = "") -> None:
    """Print it, continued lines indented; nothing at all when there is no text."""
    from rich.text import Text

    if text:
        shown = render_text(text).replace("\n", "\n" + " " * 10)
        out().print(Text.assemble((f"{label:<10}", "bold"), (shown, style)))
