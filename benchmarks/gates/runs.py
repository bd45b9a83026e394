"""Cases played many times, in as many processes as one likes: shares with their Monte-Carlo errors, medians, means.

A run is a function of its seed and number alone, so figures do not depend on how many processes there are.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import Any, Literal

Outcome = Mapping[str, float | None]
"""What one run came to, by figure: 1 or 0 for what happened or not, hours or counts (None: never) for when."""

Sort = Literal["share", "median", "mean"]

TOLERATED_ERRORS = 3.0
"""A share may exceed its limit, and stray from its reference, by so many Monte-Carlo standard errors."""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a figure must hold (`at_most`, `at_least`), and what the design's own reference reached.

    `grain`: by how much two figures differ at least if they differ at all, such as a tick's hours.
    """

    at_most: float | None = None
    at_least: float | None = None
    reference: float | None = None
    grain: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of a table: what is played with a seed and a run's number, and what each figure aims at.

    `note`: what else people should know of the row, given the seed.
    """

    name: str
    play: Callable[[int, int], Outcome]
    aims: Mapping[str, Aim] = field(default_factory=dict[str, Aim])
    note: Callable[[int], str] | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cases with the same figures. `runs`: how often each is played in full; `words`: what people read above it."""

    name: str
    title: str
    words: str
    runs: int
    figures: Mapping[str, Sort]
    cases: Sequence[Case]

    def only(self, part: str) -> Table:
        """Return the table with those cases alone whose name contains a part."""
        return replace(self, cases=[case for case in self.cases if part in case.name])


def played(table: Table, *, runs: int, seed: int, jobs: int) -> dict[str, Any]:
    """Play all cases of a table in so many processes, and return its figures, ready for JSON."""
    spent_s = cpu_s()
    with ExitStack() as running:
        pool = running.enter_context(get_context("spawn").Pool(jobs)) if jobs > 1 else None
        rows: list[dict[str, Any]] = []
        for case in table.cases:
            play, numbers = partial(case.play, seed), range(runs)
            results = pool.map(play, numbers, max(1, runs // (jobs * 8))) if pool else [play(run) for run in numbers]
            rows.append(_row(table, case, results, seed))
        if pool:
            pool.close()
            pool.join()
    spent_s = round(cpu_s() - spent_s, 1)
    return {"name": table.name, "runs": runs, "seed": seed, "cpu_s": spent_s, "rows": rows}


def cpu_s() -> float:
    """Return the processor time, in seconds, of this process and of those that it started and that are over."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _row(table: Table, case: Case, results: Sequence[Outcome], seed: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, sort in table.figures.items():
        values = [result[name] for result in results if name in result]
        if values:
            figures[name] = judged(summarised(values, sort), case.aims.get(name, Aim()), runs=len(values), sort=sort)
    print(f"{table.name}: {case.name}: {spoken(figures)}", flush=True)
    note = {"note": case.note(seed)} if case.note else {}
    return {"case": case.name, "runs": len(results), "figures": figures, **note}


def spoken(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures in one line."""
    return ", ".join(f"{name} {number(each['value'])}{_said(each)}" for name, each in figures.items())


def number(value: float | None) -> str:
    """Return a figure as people read it."""
    if value is None:
        return "never"
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) < 10 else f"{value:,.0f}"


def _said(figure: Mapping[str, Any]) -> str:
    missed = "" if figure["is_met"] else " MISSED"
    return missed + (" (differs from the reference)" if figure["differs"] else "")


def summarised(values: Sequence[float | None], sort: Sort) -> dict[str, float | None]:
    """Return value and Monte-Carlo standard error; a median counts what never happened as later than anything."""
    if sort == "median":
        ordered = sorted(math.inf if value is None else value for value in values)
        middle = statistics.median(ordered)
        return {"value": None if math.isinf(middle) else middle, "error": _median_error(ordered)}
    known = [0.0 if value is None else float(value) for value in values]
    mean = math.fsum(known) / len(known)
    if sort == "share":
        return {"value": mean, "error": math.sqrt(mean * (1 - mean) / len(known))}
    return {"value": mean, "error": statistics.stdev(known) / math.sqrt(len(known)) if len(known) > 1 else None}


def _median_error(ordered: Sequence[float]) -> float | None:
    """Return half the width of the order statistics one standard error around the median (a binomial's)."""
    half = math.sqrt(len(ordered)) / 2
    low = ordered[max(0, math.floor(len(ordered) / 2 - half))]
    high = ordered[min(len(ordered) - 1, math.ceil(len(ordered) / 2 + half))]
    return None if math.isinf(high) else (high - low) / 2


def judged(figure: dict[str, float | None], aim: Aim, *, runs: int, sort: Sort) -> dict[str, Any]:
    """Return a figure with its aim, whether that is met, and whether it strays from the reference."""
    value, error = figure["value"], figure["error"] or 0.0

    def chance_error(target: float) -> float:
        return math.sqrt(target * (1 - target) / runs) if sort == "share" else error

    def is_beyond(limit: float | None, sign: int) -> bool:
        return limit is not None and (value is None or sign * (value - limit) > TOLERATED_ERRORS * chance_error(limit))

    reference = aim.reference
    return {
        **figure,
        "at_most": aim.at_most,
        "at_least": aim.at_least,
        "reference": reference,
        "is_met": not is_beyond(aim.at_most, 1) and not is_beyond(aim.at_least, -1),
        "differs": reference is not None
        and (
            value is None
            or abs(value - reference)
            > TOLERATED_ERRORS * max(error, chance_error(reference)) + max(aim.grain, _rounding(reference))
        ),
    }


def _rounding(reference: float) -> float:
    """Return by how much a reference may be off because it was printed to so many digits."""
    return 0.0005 if reference < 1.001 else 0.5


def missed(tables: Iterable[Mapping[str, Any]]) -> list[str]:
    """Name the figures that miss their aim."""
    return [
        f"{table['name']}: {row['case']}: {name} {number(figure['value'])}"
        for table in tables
        for row in table["rows"]
        for name, figure in row["figures"].items()
        if not figure["is_met"]
    ]
