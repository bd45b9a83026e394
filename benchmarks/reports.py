"""`python -m benchmarks.reports --rows N`: what reports cost over a large lake, loose and compacted.

A lake is made up, compacted as `turnout lake compact` does it, and each report asked in a process of its own: first
with none of the files in the system's memory, then three times more. The figures that decide are processor time and
memory; a busy machine's time says less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from analytics.lake.compact import compact
from analytics.lake.directory import Directory
from analytics.lake.place import Place
from analytics.narrowing import Narrowing
from analytics.warehouse.database import Look, Warehouse
from analytics.warehouse.feedback import fates
from analytics.warehouse.reports import compare
from analytics.warehouse.tables import cost, errors, traffic
from benchmarks.lake import ENDED_US, size_bytes, write_lake
from benchmarks.report import RESULTS

_WARM_ROUNDS = 3
_LIMIT_S = 600.0
_ONE = Narrowing(rollout="sales-companion", generation=1)
_HOUR = Narrowing(rollout="sales-companion", generation=1, since=ENDED_US - 3_600_000_000, until=ENDED_US)
REPORTS: dict[str, Callable[[Look], object]] = {
    "compare": lambda seen: compare(seen, "sales-companion", 1, as_of=0),
    "cost": lambda seen: cost(seen, Narrowing(), as_of=0, present={"sales-companion": 1, "support": 1}),
    "errors": lambda seen: errors(seen, Narrowing(), as_of=0),
    "traffic": lambda seen: traffic(seen, _ONE, as_of=0),
    "feedback count": fates,
    "compare, last hour": lambda seen: compare(seen, "sales-companion", 1, as_of=0, to=_HOUR),
    "errors, last hour": lambda seen: errors(seen, _HOUR, as_of=0),
    "traffic, last hour": lambda seen: traffic(seen, _HOUR, as_of=0),
}
SUMS = {
    "cost by day and application": "SELECT hour::DATE AS day, application, sum(cost_usd) AS cost_usd, sum(requests) "
    "FROM hourly WHERE purpose = 'live' GROUP BY ALL",
    "failures by model": "SELECT model_served, error_class, sum(requests) FROM hourly WHERE errors > 0 GROUP BY ALL",
    "p99 by day and arm": "SELECT hour::DATE AS day, arm_assigned, quantile_ms(latency_bins, 0.99) "
    "FROM hourly WHERE is_split GROUP BY ALL",
}
"""What rollups answer."""
Figures = dict[str, float]


def main() -> int:
    """Make the lake, measure, print the figures and write them to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reports", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--loose", action="store_true", help="ask before compaction too, which takes long")
    parser.add_argument("--lake", type=Path, help="keep the lake there, or take the one that is there already")
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        print(json.dumps(_asked(arguments.lake, arguments.ask)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        lake: Path = arguments.lake or Path(folder) / "lake"
        measured: dict[str, Figures] = {}
        if not lake.exists():
            measured["making it up"] = _timed(lambda: write_lake(lake, arguments.rows))
            if arguments.loose:
                measured |= {f"{report}, loose": _alone(lake, report) for report in REPORTS}
            measured["compaction"] = _alone(lake, "compaction")
        measured |= {report: _alone(lake, report) for report in (*REPORTS, *SUMS)}
        measured["lake"] = {"bytes_per_request": size_bytes(lake) / arguments.rows}
    for name, figures in measured.items():
        print(f"{name:22}", "  ".join(f"{figure} {value:,.2f}" for figure, value in figures.items()))
    _keep(arguments.rows, measured)
    return 0


def _asked(lake: Path, report: str) -> Figures:
    """Ask one report, cold and then warm, or compact, and return what it took."""
    if report == "compaction":
        return {**_timed(lambda: compact(Place(url=str(lake)), lake)), "peak_mib": _peak_mib()}
    for path in lake.rglob("*.parquet"):
        _forget(path)
    warehouse = Warehouse(Directory(lake), limit_s=_LIMIT_S)
    act = partial(_look, warehouse, report)
    cold = _timed(act)
    warm = [_timed(act) for _ in range(_WARM_ROUNDS)]
    warehouse.close()
    return {
        "cold_s": cold["wall_s"],
        "warm_s": statistics.median(each["wall_s"] for each in warm),
        "warm_cpu_s": statistics.median(each["cpu_s"] for each in warm),
        "peak_mib": _peak_mib(),
    }


def _look(warehouse: Warehouse, report: str) -> object:
    """Ask a report as the console does: in one look at the lake."""
    if report in REPORTS:
        with warehouse.look() as seen:
            return REPORTS[report](seen)
    with warehouse.look(["hourly"]) as seen:
        return seen.connection.execute(SUMS[report]).fetchall()


def _alone(lake: Path, report: str) -> Figures:
    words = [sys.executable, "-m", "benchmarks.reports", "--lake", str(lake), "--ask", report]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def _timed(act: Callable[[], object]) -> Figures:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def _peak_mib() -> float:
    """Return the most memory that this process had, without what it was forked from."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def _forget(path: Path) -> None:
    """Ask the system to forget what it keeps of a file in memory."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _keep(rows: int, measured: dict[str, Figures]) -> None:
    path = RESULTS / "reports.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[str(rows)] = {**kept.get(str(rows), {}), **measured}
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
