"""`make simulate`: play gates against made-up traffic, keep the figures, and write them into docs/statistics.md.

Every figure is made by the product's own rules; only the traffic is made up.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.gates import false_rollback, kill, latency, margin, monitoring, protocol, ratio, suggested, whole
from benchmarks.gates.page import keep, publish
from benchmarks.gates.runs import Table, missed, played

SEED = 20_260_701


def tables() -> list[Table]:
    """Return every table, in the page's order."""
    return [
        protocol.table(),
        false_rollback.table(),
        whole.table(),
        suggested.table(),
        margin.two_looks(),
        margin.one_look(),
        margin.below_minima(),
        latency.table(),
        kill.table(),
        ratio.table(),
        monitoring.table(),
    ]


def main() -> int:
    """Play the tables that are asked for; 1 when a figure misses its aim."""
    every = {table.name: table for table in tables()}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gates", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=sorted(every), default=list(every), help="these tables")
    parser.add_argument("--runs", type=int, help="play each case so often, instead of as often as its table says")
    parser.add_argument("--case", default="", help="only cases whose name contains this; nothing is kept")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--dry", action="store_true", help="print the figures and keep nothing")
    parser.add_argument("--publish", action="store_true", help="write the kept figures into the page, and play nothing")
    arguments = parser.parse_args()
    if arguments.publish:
        publish(every.values())
        return 0
    results = [
        played(table, runs=arguments.runs or table.runs, seed=arguments.seed, jobs=arguments.jobs)
        for table in (every[name].only(arguments.case) for name in arguments.only)
    ]
    if not (arguments.dry or arguments.case):
        keep(results)
        publish(every.values())
    failures = missed(results)
    print("\n".join(f"missed: {line}" for line in failures) or "Every aim is met.")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
