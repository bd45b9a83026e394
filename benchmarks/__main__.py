"""`make bench`: measure what a request costs, beside nginx in the same run, and keep table and raw figures.

Figures are ratios between peers of one run: absolute times of a shared machine say little.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import Load, drive
from benchmarks.servers import Server, mock_upstream, nginx_proxy, turnout

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run all rounds and write `benchmarks/results/request-cost.json`; 1 when a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds per server, in random order")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one round")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if missing := [tool for tool in ("nginx", "wrk") if shutil.which(tool) is None]:
        print(f"not exercised: {' and '.join(missing)} not found (Debian: apt-get install nginx wrk)")
        return 1
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream = running.enter_context(mock_upstream(folder))
        servers = [running.enter_context(serving(folder, upstream)) for serving in (nginx_proxy, turnout)]
        rounds = measure(servers, arguments.rounds, arguments.seconds, random.Random(arguments.seed))
    report(rounds)
    return 0


def measure(servers: Sequence[Server], rounds: int, seconds: float, rng: random.Random) -> list[Load]:
    """Drive every server in every round, in an order drawn anew."""
    measured: list[Load] = []
    for number in range(rounds):
        for server in rng.sample(list(servers), len(servers)):
            load = drive(server, seconds)
            print(f"round {number + 1} {server.name:8} {load.requests:7} requests {load.cpu_us:8.1f} µs CPU each")
            measured.append(load)
    return measured


def report(measured: Sequence[Load]) -> None:
    """Print medians and ratios to nginx, and keep everything."""
    names = sorted({load.server for load in measured}, reverse=True)
    median = {name: statistics.median(load.cpu_us for load in measured if load.server == name) for name in names}
    print(f"\n{'server':10}{'CPU µs/request':>16}{'x nginx':>10}{'range µs':>20}{'errors':>8}")
    for name in names:
        own = [load for load in measured if load.server == name]
        low, high = min(load.cpu_us for load in own), max(load.cpu_us for load in own)
        errors = sum(load.errors for load in own)
        ratio = median[name] / median["nginx"]
        print(f"{name:10}{median[name]:16.1f}{ratio:10.1f}{f'{low:.1f}-{high:.1f}':>20}{errors:8}")
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "rounds": [load.__dict__ for load in measured],
        "median_cpu_us": median,
    }
    (RESULTS / "request-cost.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
