"""What a run is told as: a table of medians with ranges and ratios, and the raw rounds in `benchmarks/results/`."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import Figures

RESULTS = Path(__file__).parent / "results"
_PEER, _DIRECT = "nginx", "direct"
_PEAKS = {"stream_kib"}
"""Told by the round that held most: later ones use again what an allocator has kept."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of one case against one server."""

    case: str
    server: str
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure of one case and server over all rounds; `ratio` is to nginx's of the same case."""

    case: str
    figure: str
    server: str
    median: float
    low: float
    high: float
    ratio: float | None


def summary(measured: Sequence[Round]) -> list[Line]:
    """Return medians and ranges in the order of measurement; waits also as what they add to a direct call's."""
    every = [*measured, *_added(measured)]
    keys = dict.fromkeys((each.case, figure, each.server) for each in every for figure in each.figures)
    return [_line(every, *key) for key in keys]


def show(measured: Sequence[Round]) -> None:
    """Print the table."""
    print(f"\n{'case':20}{'figure':16}{'server':10}{'median':>12}{'range':>24}{'x nginx':>10}")
    for line in summary(measured):
        if line.figure == "errors" and not line.high:
            continue
        ratio = f"{line.ratio:.1f}" if line.ratio is not None else ""
        spread = f"{line.low:,.1f}-{line.high:,.1f}"
        print(f"{line.case:20}{line.figure:16}{line.server:10}{line.median:12,.1f}{spread:>24}{ratio:>10}")


def keep(measured: Sequence[Round]) -> None:
    """Write the rounds and their summary, with what they ran on."""
    RESULTS.mkdir(exist_ok=True)
    kept = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "summary": [asdict(line) for line in summary(measured)],
        "rounds": [asdict(each) for each in measured],
    }
    (RESULTS / "request-cost.json").write_text(json.dumps(kept, indent=1) + "\n")


def _line(every: Sequence[Round], case: str, figure: str, server: str) -> Line:
    own, peers = _values(every, case, figure, server), _values(every, case, figure, _PEER)
    typical = max if figure in _PEAKS else statistics.median
    median = typical(own)
    peer = typical(peers) if peers else 0.0
    ratio = median / peer if peer > 0 and figure != "errors" else None
    return Line(case=case, figure=figure, server=server, median=median, low=min(own), high=max(own), ratio=ratio)


def _values(every: Sequence[Round], case: str, figure: str, server: str) -> list[float]:
    return [
        each.figures[figure] for each in every if (each.case, each.server) == (case, server) and figure in each.figures
    ]


def _added(measured: Sequence[Round]) -> Iterator[Round]:
    """Yield what every server's waits add to those of the direct calls of the same round."""
    direct: Figures = {}
    for each in measured:
        if each.server == _DIRECT:
            direct = each.figures
        elif direct and set(each.figures) == set(direct):
            added = {f"added_{name}": value - direct[name] for name, value in each.figures.items() if name != "errors"}
            yield Round(case=each.case, server=each.server, figures=added)
