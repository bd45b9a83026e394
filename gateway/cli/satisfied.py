"""What users say of both arms' answers, as people read it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analytics.figures import Figure
from analytics.satisfaction import ArmSatisfaction, Satisfaction
from gateway.cli import figures
from gateway.cli.compared import HEADINGS, narrowed
from gateway.cli.freshness import freshness_lines
from gateway.cli.table import write_table
from rollout.change import moment

_SHARES = {
    "satisfaction": "satisfied users, of those who rated",
    "thumbs_up": "thumbs up, of all thumbs",
    "response_rate": "answers that were rated",
    "regenerated": "answers made anew (regenerated)",
    "copied": "answers copied",
    "edited": "answers edited",
}


def write_satisfaction(found: Satisfaction) -> None:
    """Print what users say of base and of candidate."""
    sys.stdout.write(f"Rollout {found.rollout}, generation {found.generation}{narrowed(found)}: {_span(found)}\n\n")
    write_table(HEADINGS, _rows(found), figures=(1, 2))
    sys.stdout.write("\n")
    if any(one.low is not None for one in found.difference.values()):
        sys.stdout.write("In brackets: 95 % intervals, each user counting once. No verdict: gates are apart.\n")
    _write_last(found)


def write_satisfactions(found: Sequence[Satisfaction], by: str) -> None:
    """Print a small table for each part of a divided report."""
    for one in found:
        sys.stdout.write(f"{by} {one.part if one.part is not None else '-'}: {_span(one)}\n")
        write_table(HEADINGS, [row for row in _rows(one) if row[1] is not None or row[2] is not None], figures=(1, 2))
        sys.stdout.write("\n")
    if found:
        _write_last(found[0])
    else:
        sys.stdout.write("no request of a split user yet\n")


def _write_last(found: Satisfaction) -> None:
    for line in freshness_lines(found.freshness, found.as_of):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("What each line means, and the SQL behind it: docs/reports.md\n")


def _rows(found: Satisfaction) -> list[Sequence[object]]:
    arms = (found.base, found.candidate)
    rows: list[Sequence[object]] = [
        ("users", *(figures.count(arm.users) for arm in arms), "", ""),
        ("answers", *(figures.count(arm.answers) for arm in arms), "", ""),
    ]
    for name, words in _SHARES.items():
        apart = found.difference[name]
        shares = [figures.share(getattr(arm, name)) for arm in arms]
        rows.append((words, *shares, figures.apart(apart, figures.points), figures.ratio(apart)))
        if name == "thumbs_up":
            rows += _stars(found, arms)
    return rows


def _stars(found: Satisfaction, arms: Sequence[ArmSatisfaction]) -> list[Sequence[object]]:
    """Return the lines about ratings: their mean, and how many there are of each."""
    apart = found.difference["stars"]
    means = [_mean(arm.stars) for arm in arms]
    levels = sorted({level for arm in arms for level in arm.levels}, reverse=True)
    return [
        ("stars, on average", *means, figures.apart(apart, figures.stars), figures.ratio(apart)),
        *((f"  {level}", *(figures.count(arm.levels.get(level, 0)) for arm in arms), "", "") for level in levels),
    ]


def _mean(stars: Figure) -> str | None:
    return None if stars.value is None else f"{figures.stars(stars.value)} of {stars.of:,}"


def _span(found: Satisfaction) -> str:
    if found.first_at is None or found.last_at is None:
        return "no request of a split user yet"
    requests = found.base.requests + found.candidate.requests
    return f"{requests:,} requests, {moment(found.first_at)} to {moment(found.last_at)}"
