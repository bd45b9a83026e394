"""What tables of reports share: which requests they are about, and names that somebody else chose."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analytics.narrowing import Narrowing
from gateway.cli.table import write_table
from rollout.change import moment

UNNAMED = "(none)"


def subject(asked: Narrowing) -> str:
    """Say which requests a report is about, beside the times that its first line has anyway."""
    named = {"step": asked.step, "phase": asked.phase, "application": asked.application, "endpoint": asked.endpoint}
    words = [f"{name} {plain(str(value))}" for name, value in named.items() if value is not None]
    words += [f"tag {plain(tag)}" for tag in asked.tags]
    words += [] if asked.purpose == "live" else [f"purpose {asked.purpose}"]
    words += ["with pinned users"] if asked.forced else []
    whole = "All traffic" if asked.rollout is None else f"Rollout {asked.rollout}, generation {asked.generation}"
    return ", ".join((whole, *words))


def span(requests: int, first_at: int | None, last_at: int | None) -> str:
    """Say how many requests these are, and of which time."""
    if first_at is None or last_at is None:
        return "no request yet"
    return f"{requests:,} requests, {moment(first_at)} to {moment(last_at)}"


def plain(text: str | None) -> str:
    """Write a name that a caller or a model's server may have chosen, without what a terminal would obey."""
    if text is None:
        return UNNAMED
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def write_part(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table with a line before it; all but its first column are numbers."""
    sys.stdout.write("\n")
    write_table(headings, rows, figures=range(1, len(headings)))


def percent(share: float) -> str:
    """Write a share (0-1) as percent, small ones with two digits that say something."""
    value = share * 100
    return f"{value:.1f} %" if not value or value >= 0.1 else f"{value:.2g} %"
