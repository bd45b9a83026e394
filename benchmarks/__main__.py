"""`make bench`: measure what a request costs, beside nginx in the same run, and keep table and raw figures.

Figures are ratios between peers of one run: absolute times of a shared machine say little.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.accounting import rss_bytes
from benchmarks.load import saturated
from benchmarks.measure import Figures, appends, burst, paced, rate
from benchmarks.report import Round, keep, show
from benchmarks.servers import Server, peers, streaming_upstream, whole_upstream

_MIB = 1024 * 1024

WHOLE: Mapping[str, Callable[[Server, float], Figures]] = {
    "whole 4 KiB": partial(saturated, body_kib=4),
    "whole 32 KiB": partial(saturated, body_kib=32),
    "whole 256 KiB": partial(saturated, body_kib=256),
}
STREAMED: Mapping[str, Callable[[Server, float], Figures]] = {
    "100 chunks at once": burst,
    "paced, 50 open": partial(paced, streams=50),
    "paced, 1,000 open": partial(paced, streams=1000),
}


def main() -> int:
    """Run all rounds, print the table and write `benchmarks/results/`; 1 when a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per case and server, in random order")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one round")
    parser.add_argument("--quick", action="store_true", help="one round of one second: to see that all works")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if missing := [tool for tool in ("nginx", "wrk") if shutil.which(tool) is None]:
        print(f"not exercised: {' and '.join(missing)} not found (Debian: apt-get install nginx wrk)")
        return 1
    rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    measured = measure(rounds, seconds, random.Random(arguments.seed), arguments.only)
    show(measured)
    if not arguments.quick and not arguments.only:
        keep(measured)
    return 0


def measure(rounds: int, seconds: float, rng: random.Random, only: str) -> list[Round]:
    """Measure every case, the servers of each round in an order drawn anew."""
    measured: list[Round] = []
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream = running.enter_context(whole_upstream(folder))
        servers = running.enter_context(peers(folder / "before-whole", upstream))
        measured += [_said("at rest", server, {"rss_mib": rss_bytes(server.pids) / _MIB}) for server in servers]
        for _ in range(rounds):
            measured += _in_turn(_named(WHOLE, only), servers, seconds, rng)
            if only in "100 a second":
                compared = (upstream, *servers)
                waits = rate(rng.sample(compared, len(compared)), seconds)
                measured += [_said("100 a second", server, waits[server.name]) for server in compared]
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream = running.enter_context(streaming_upstream(folder))
        servers = running.enter_context(peers(folder / "before-streams", upstream))
        for _ in range(rounds):
            measured += _in_turn(_named(STREAMED, only), servers, seconds, rng)
            if only in "append":
                measured.append(_said("append", servers[1], appends(seconds)))
    return measured


def _named(
    cases: Mapping[str, Callable[[Server, float], Figures]], only: str
) -> Mapping[str, Callable[[Server, float], Figures]]:
    return {case: run for case, run in cases.items() if only in case}


def _in_turn(
    cases: Mapping[str, Callable[[Server, float], Figures]],
    servers: Sequence[Server],
    seconds: float,
    rng: random.Random,
) -> list[Round]:
    return [
        _said(case, server, run(server, seconds))
        for case, run in cases.items()
        for server in rng.sample(servers, len(servers))
    ]


def _said(case: str, server: Server, figures: Figures) -> Round:
    shown = ", ".join(f"{name} {value:,.1f}" for name, value in figures.items())
    print(f"{case:20} {server.name:8} {shown}", flush=True)
    return Round(case=case, server=server.name, figures=figures)


if __name__ == "__main__":
    sys.exit(main())
