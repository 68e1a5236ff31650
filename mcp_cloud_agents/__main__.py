"""The program's door: `serve` goes straight to the server, everything else to the command line.

Clients give a server 30 s at most and use tools only after the first answer, so `serve` imports
neither the command line's libraries nor anything the first answer does not need.
"""

from __future__ import annotations

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command that the arguments name."""
    try:
        if sys.argv[1:] == ["serve"]:
            _serve()
        else:
            from mcp_cloud_agents.cli.app import start

            start()
    except KeyboardInterrupt:  # also while modules are imported: no traceback
        sys.exit(_INTERRUPTED)


def _serve() -> None:
    # Imports make some 100,000 objects that live for ever; collecting among them costs 14 % of
    # the start's processor time (docs/benchmarks.md).
    import gc

    gc.disable()
    from mcp_cloud_agents.bootstrap.server import serve_stdio

    gc.freeze()
    gc.enable()
    if sys.stdin is not None and sys.stdin.isatty():
        sys.stderr.write("serving MCP on stdin and stdout, for a client; Ctrl-C ends it\n")
    serve_stdio()


if __name__ == "__main__":
    main()
