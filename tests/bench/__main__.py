"""`python -m tests.bench [TOPIC …] [--quick] [--write]`: measure and print tables."""

from __future__ import annotations

import argparse
import importlib

from tests.bench.machine import machine, moment
from tests.bench.table import Table, keep

TOPICS = (
    "start",
    "overhead",
    "resubmit",
    "log_latency",
    "burst",
    "shutdown",
    "cloud",
    "apply",
    "fix",
    "audit",
    "ledger",
    "admission",
)


def main() -> None:
    """Measure topic by topic, one after the other."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, rougher figures")
    parser.add_argument("--write", action="store_true", help="keep them in docs/benchmarks.md")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.topics) - set(TOPICS)):
        parser.error(f"no topic is called {', '.join(unknown)}; there are {', '.join(TOPICS)}")
    print(machine(), flush=True)
    for topic in asked.topics or TOPICS:
        began = moment()
        measure = importlib.import_module(f"tests.bench.{topic}").measure
        table: Table = measure(quick=asked.quick)
        text = table.markdown(f"Measured {began} at the start, {moment()} at the end.")
        print(f"\n## {topic}\n\n{text}", flush=True)
        if asked.write:
            keep(topic, text)
    if asked.write:
        keep("machine", machine())


if __name__ == "__main__":
    main()
