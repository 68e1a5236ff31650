"""`python -m mcp_cloud_agents.emulator`: serves until it is ended; one line of JSON says where."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading

from mcp_cloud_agents.domain.errors import AgentsError

_LOOK_S = 0.2


def main() -> int:
    """Start, say where, wait for SIGINT, SIGTERM or, with --until-eof, the end of stdin."""
    asked = _arguments()
    from mcp_cloud_agents.emulator.bootstrap import bootstrap, make_team_table
    from mcp_cloud_agents.emulator.emulator import serve
    from mcp_cloud_agents.emulator.options import Options

    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    options = Options(region=asked.region)
    try:
        with serve(options, asked.port) as emulator:
            told = emulator.described()
            if asked.bootstrap:
                outputs = bootstrap(emulator.endpoint, asked.region)
                if asked.team_budget:
                    outputs |= make_team_table(emulator.endpoint, asked.region)
                told["outputs"] = outputs
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            if asked.until_eof:
                threading.Thread(
                    target=lambda: (sys.stdin.read(), ended.set()), daemon=True
                ).start()
            # The kernel may hand a signal to another thread, which does not wake this one.
            while not ended.wait(_LOOK_S):
                pass
    except AgentsError as error:
        sys.stderr.write(f"{error.message} {error.hint}\n")
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mcp_cloud_agents.emulator", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 for a free one")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--bootstrap",
        action="store_true",
        help="make bucket, queues, roles and the rest; `outputs` are the Terraform module's",
    )
    parser.add_argument(
        "--team-budget",
        action="store_true",
        help="with --bootstrap: the team's table, too, as the module makes it if asked to",
    )
    parser.add_argument("--until-eof", action="store_true", help="end when stdin ends")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
