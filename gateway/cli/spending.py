"""`turnout report cost`: what requests cost, who spent it, and what a month of one arm alone would cost."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from analytics.costs import CostReport, DealtSpent, Spent, UnknownCost
from analytics.figures import Difference
from analytics.projection import MONTH_DAYS, Estimate, Month, Projection
from gateway.cli import figures
from gateway.cli.client import add_reach_options, reach
from gateway.cli.freshness import freshness_lines
from gateway.cli.narrowing import add_division, add_narrowing_options, wanted
from gateway.cli.reported import percent, plain, span, subject, write_part
from gateway.cli.table import write_json, write_table

_REASONS = 4
"""So many kinds of unknown cost stand in the line; the JSON has all."""

_WEEK_DAYS = 6.9
"""A week, less what is missing at its ends."""

_DEALT = {"forced": "pinned users", "without_user": "without a user key", None: "in no rollout"}


def add_parser(actions: Any) -> None:
    """Add `report cost`."""
    command: argparse.ArgumentParser = actions.add_parser(
        "cost",
        help="what requests cost: by arm, day, application, model; and a month of either arm",
        description="What requests cost, and what a month would with one arm alone. Without ROLLOUT: all traffic.",
    )
    add_narrowing_options(command)
    add_division(command)
    add_reach_options(command)
    command.set_defaults(run=run_cost, only_reports=True)


def run_cost(arguments: argparse.Namespace) -> int:
    """Print the report on cost."""
    with reach(arguments) as console:
        found = console.report(CostReport, wanted(arguments))
    if arguments.json:
        write_json(found)
    else:
        write_cost(found)
    return 0


def write_cost(found: CostReport) -> None:
    """Print what requests cost."""
    say = sys.stdout.write
    say(f"{subject(found.asked)}: {span(found.total.requests, found.first_at, found.last_at)}\n")
    for line in _total(found):
        say(f"{line}\n")
    if not found.total.requests:
        return
    _write("arm", [(_dealt(one, found), one) for one in found.arms])
    if found.by is not None:
        _write(f"{plain(found.by)}, arm", [(f"{plain(one.name)}, {_arm(one.arm)}", one) for one in found.parts])
    else:
        _write("day", [(one.name or "", one) for one in found.days])
        _write("application", [(plain(one.name), one) for one in found.applications])
        _write("model", [(plain(one.name), one) for one in found.models])
    for month in found.projections:
        _write_month(month)
    say("\n")
    for line in freshness_lines(found.freshness, found.as_of):
        say(f"{line}\n")
    say("What each line means, and the SQL behind it: docs/reports.md\n")


def _total(found: CostReport) -> Iterable[str]:
    total = found.total
    if total.cost_usd is not None:
        yield f"total cost: {figures.usd(total.cost_usd)}, of {total.priced:,} requests of known cost"
    if total.cost_unknown and total.unknown_share is not None:
        reasons = ", ".join(map(_unknown, found.unknown[:_REASONS]))
        more = len(found.unknown) - _REASONS
        others = f" and {more} more kinds" if more > 0 else ""
        yield (
            f"unknown: what {total.cost_unknown:,} more requests cost, {percent(total.unknown_share)} of those that "
            f"may have cost something; it is in no sum: {reasons}{others}"
        )
    for one in found.left_out:
        words = "of pinned users (--forced takes them in)" if one.name == "forced" else f"made for {one.name}"
        cost = "" if one.cost_usd is None else f", {figures.usd(one.cost_usd)}"
        yield f"left out: {one.requests:,} requests {words}{cost}"


def _unknown(one: UnknownCost) -> str:
    model = "no model answered" if one.model is None else plain(one.model)
    return f"{one.requests:,} {plain(one.reason or 'for no known reason')} ({model})"


def _write(name: str, rows: Sequence[tuple[str, Spent]]) -> None:
    total = figures.dollars(*(one.cost_usd for _, one in rows))
    each = figures.dollars(*(one.cost_per_request_usd for _, one in rows))
    write_part(
        (name, "requests", "cost", "per request", "of unknown cost"),
        [
            (
                words,
                f"{one.requests:,}",
                figures.known(one.cost_usd, total),
                figures.known(one.cost_per_request_usd, each),
                f"{one.cost_unknown:,}",
            )
            for words, one in rows
        ],
    )


def _arm(name: str | None) -> str:
    return _DEALT.get(name, name or "")


def _dealt(one: DealtSpent, found: CostReport) -> str:
    words = _arm(one.name)
    if found.asked.rollout is not None or one.rollout is None:
        return words
    return f"{one.rollout} ({one.generation}): {words}"


def _write_month(one: Projection) -> None:
    """Print what a month of either arm alone would cost, or why that is not told."""
    sys.stdout.write(f"\n{MONTH_DAYS} days of {one.rollout}, generation {one.generation}, with one arm alone\n")
    if one.refused is not None or one.by_request is None or one.monthly_requests is None:
        sys.stdout.write(f"not told: {one.refused}\n")
        return
    months = {"by cost per request": one.by_request, "by cost per user": one.by_user}
    rows = [_row(words, month) for words, month in months.items() if month is not None]
    write_table(("", "base", "candidate", "difference"), rows, figures=(1, 2))
    for line in (_verdict(one.by_request), *_basis(one, one.monthly_requests)):
        sys.stdout.write(f"{line}\n")


def _row(words: str, month: Month) -> Sequence[str]:
    write = figures.dollars(month.base.value, month.candidate.value, abs(month.difference.value))
    return (words, _estimate(month.base, write), _estimate(month.candidate, write), _apart(month.difference, write))


def _estimate(one: Estimate, write: figures.Write) -> str:
    if one.low is None or one.high is None:
        return write(one.value)
    return f"{write(one.value)}  ({write(one.low)} to {write(one.high)})"


def _apart(one: Estimate, write: figures.Write) -> str:
    return figures.apart(Difference(value=one.value, relative=None, low=one.low, high=one.high), write)


def _verdict(month: Month) -> str:
    """Say in words what the difference per request means."""
    apart, write = month.difference, figures.usd
    if apart.low is None or apart.high is None:
        return f"A month of the candidate {_costs(apart.value)}; without an interval, for nothing varied."
    if apart.low <= 0 <= apart.high:
        return (
            f"Whether the candidate saves is not known yet: up to {write(-apart.low)} less or {write(apart.high)} more."
        )
    return f"A month of the candidate {_costs(apart.value)}."


def _costs(difference: float) -> str:
    return f"{'saves' if difference < 0 else 'costs'} {figures.usd(abs(difference))}{'' if difference < 0 else ' more'}"


def _basis(one: Projection, requests: float) -> Iterable[str]:
    yield (
        f"Extrapolated from {one.days:.1f} days of traffic ({one.days_of_both:.1f} with both arms), as {requests:,.0f} "
        f"requests a month; at the split as it was: {figures.usd(one.present_usd or 0)}."
    )
    if one.days < _WEEK_DAYS:
        yield "Less than a week was seen: weekdays and weekends may differ."
    if one.by_user is None:
        yield "Not told by user: the percentage moved, and users changed arms; ask for one --step."
    yield "In brackets: 95 % intervals, each user counting once; that the traffic stays as it was is assumed."
