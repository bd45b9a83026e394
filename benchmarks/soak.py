"""`python -m benchmarks.soak --requests N`: whether a worker's memory grows with the requests it has served.

Half of the rounds are whole answers, half streams. The slope is the least-squares line through the memory after each
round, the first tenth left out: pools and caches fill first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import uvloop

from benchmarks.accounting import rss_bytes
from benchmarks.client import Tally, chat, connected
from benchmarks.report import RESULTS
from benchmarks.servers import Server, streaming_upstream, turnout

SLOPE_REQUESTS = 100_000
LIMIT_MIB = 1.0
_CONNECTIONS = 32
_ROUND_REQUESTS = 5_000
_STREAMED = "?chunks=3&every_ms=0"
_MIB = 1024 * 1024


def main() -> int:
    """Send the requests, print the memory after each round, keep all; 1 when an answer failed or the slope is high."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        upstream = running.enter_context(streaming_upstream(folder))
        server = running.enter_context(turnout(folder, upstream.url))
        tally, sizes_mib = Tally(), dict[int, float]()
        while tally.whole + tally.errors < arguments.requests:
            uvloop.run(_round(server, tally, "" if len(sizes_mib) % 2 else _STREAMED))
            sizes_mib[tally.whole + tally.errors] = rss_bytes(server.pids) / _MIB
            if len(sizes_mib) % 4 == 0:
                print(f"{tally.whole:10,} requests {sizes_mib[max(sizes_mib)]:8.2f} MiB", flush=True)
    slope_mib = slope(sizes_mib) * SLOPE_REQUESTS
    print(f"{slope_mib:.3f} MiB per {SLOPE_REQUESTS:,} requests (limit {LIMIT_MIB}), {tally.errors} errors")
    kept = {"slope_mib": slope_mib, "per_requests": SLOPE_REQUESTS, "errors": tally.errors, "sizes_mib": sizes_mib}
    (RESULTS / "soak.json").write_text(json.dumps(kept, indent=1) + "\n")
    return int(tally.errors > 0 or slope_mib >= LIMIT_MIB)


def slope(sizes: dict[int, float]) -> float:
    """Return by how much a size grows with each request, once warm."""
    warm = sorted(sizes)[max(len(sizes) // 10, 1) :]
    return statistics.linear_regression(warm, [sizes[requests] for requests in warm]).slope


async def _round(server: Server, tally: Tally, query: str) -> None:
    ends_at = tally.whole + tally.errors + _ROUND_REQUESTS
    requests = [chat(server, user=user, query=query) for user in range(_CONNECTIONS)]
    callers = [await connected(server, request, tally, again=True) for request in requests]
    for caller in callers:
        caller.send()
    while tally.whole + tally.errors < ends_at:
        await asyncio.sleep(0.05)
        tally.waits_us.clear()
    for caller in callers:
        caller.again = False
    await asyncio.sleep(0.2)
    for caller in callers:
        caller.close()


if __name__ == "__main__":
    sys.exit(main())
