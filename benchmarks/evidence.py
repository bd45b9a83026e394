"""What folding and a look at a step cost: `python -m benchmarks.evidence [--rows N] [--lake DIR]`.

The lake is made up (`benchmarks/lake.py`) and compacted, or the one of that many rows that is there already, which is
not changed: its files are linked. Its two rollouts are followed as one step each; then their users are put into one
step, so that a look is at all of them. The figures that decide are processor time and memory; a busy machine's time
says less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from analytics.evidence import Check, StepWindow
from analytics.lake.compact import compact
from analytics.lake.directory import Directory
from analytics.lake.place import Place
from analytics.warehouse.evidence import Evidence
from analytics.warehouse.evidence_tables import TABLES
from benchmarks.lake import write_lake, write_part
from benchmarks.report import RESULTS

_ROUNDS = 5
_MOST_MIDNIGHTS = 150
_MORE = 100_000
_SECOND = 400
"""About as many requests as a busy installation seals in a second."""
_MINUTE, _TICKS = 60 * _SECOND, 24
"""A minute's requests, and how often fast kill looks meanwhile."""
_BEGAN_AT = 1_788_220_800_000_000
_NOW = _BEGAN_AT + 30 * 86_400_000_000
Figures = dict[str, float]


def main() -> int:
    """Measure, print the figures and write them to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--lake", type=Path, help="a lake of so many rows that is there already")
    arguments = parser.parse_args()
    beside = arguments.lake.parent if arguments.lake else None
    with tempfile.TemporaryDirectory(dir=beside) as folder:
        lake = Path(folder) / "lake"
        if arguments.lake:
            _link(arguments.lake, lake)
        else:
            write_lake(lake, arguments.rows)
            compact(Place(url=str(lake)), Path(folder))
        measured = _measured(Path(folder) / "evidence.duckdb", lake, arguments.rows)
    for name, figures in measured.items():
        print(f"{name:34}", "  ".join(f"{figure} {value:,.4f}" for figure, value in figures.items()))
    _keep(arguments.rows, measured)
    return 0


def _measured(path: Path, lake: Path, rows: int) -> dict[str, Figures]:
    evidence = Evidence(path, Directory(lake), clock=lambda: _NOW)
    one, other = _window("sales-companion"), _window("support")
    measured = {
        "first fold, no step followed": _timed(evidence.fold),
        "a step added up whole": _timed(lambda: evidence.look(one)),
    }
    evidence.look(other)
    first, second = 1, 2
    for table in TABLES:
        evidence.connection.execute(f"UPDATE evidence_{table} SET step_id = {first} WHERE step_id = {second}")
    evidence.connection.execute("CHECKPOINT")
    measured["a look"] = _median([_timed(lambda: evidence.look(one)) for _ in range(_ROUNDS)])
    measured["fast kill's look"] = _timed(lambda: evidence.failing(one))
    measured["a moment of the monitor"] = _timed(evidence.fold)
    asked = [_timed(evidence.fold) for _ in range(_MOST_MIDNIGHTS)]
    measured["the monitor, all midnights"] = {name: sum(each[name] for each in asked) for name in asked[0]}
    write_part(lake, rows, rows, rows + _MORE)
    measured[f"folding {_MORE:,} records"] = _timed(evidence.fold)
    write_part(lake, rows, rows + _MORE, rows + _MORE + _SECOND)
    measured["folding a second's records"] = _timed(evidence.fold)
    measured["folding nothing"] = _timed(evidence.fold)
    measured |= _minute(evidence, lake, rows, one)
    found = evidence.look(one).quality
    evidence.close()
    users = found.base_users + found.candidate_users
    requests = found.base_rows + found.candidate_rows
    measured["step"] = {
        "users": users,
        "requests": requests,
        "peak_mib": _peak_mib(),
        "file_mb": path.stat().st_size / 1e6,
    }
    return measured


def _minute(evidence: Evidence, lake: Path, rows: int, window: StepWindow) -> dict[str, Figures]:
    """Return what the controller's minute costs: fast kill's looks at what is new, and a look at the sums."""
    first, tick = rows + _MORE + _SECOND, _MINUTE // _TICKS
    kept_up: list[Figures] = []
    for at in range(first, first + _MINUTE, tick):
        write_part(lake, rows, at, at + tick)
        kept_up.append(_timed(evidence.keep_up))
    failing = _timed(lambda: evidence.failing(window))
    look = _timed(lambda: evidence.look(window))
    minute = [*kept_up, *[failing] * _TICKS, look]
    return {
        f"keeping up, {tick:,} records": _median(kept_up),
        "fast kill's look, meanwhile": failing,
        f"a look, {_MINUTE:,} records later": look,
        "a minute in all": {name: sum(each[name] for each in minute) for name in look},
    }


def _window(rollout: str) -> StepWindow:
    limits: dict[Check, tuple[float, float]] = {"p50": (245.0, 270.0), "p99": (1500.0, 1800.0), "ttft": (61.0, 67.0)}
    return StepWindow(rollout=rollout, generation=1, step=1, percent=50.0, started_at=_BEGAN_AT, thresholds=limits)


def _link(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
        else:
            place.mkdir(parents=True, exist_ok=True)


def _timed(act: Callable[[], object]) -> Figures:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    act()
    return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - cpu_s}


def _median(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def _peak_mib() -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def _keep(rows: int, measured: dict[str, Figures]) -> None:
    path = RESULTS / "evidence.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[str(rows)] = measured
    path.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
