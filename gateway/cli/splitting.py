"""`turnout report traffic`: how many users and requests each arm got, and whether the split is to be believed."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from analytics.srm import Evenness
from analytics.traffic import Counted, PartTraffic, Span, StepTraffic, TrafficReport
from gateway.cli.client import add_reach_options, reach
from gateway.cli.freshness import freshness_lines
from gateway.cli.narrowing import add_division, add_narrowing_options, wanted
from gateway.cli.reported import percent, plain, span, subject, write_part
from gateway.cli.table import write_json

_FEW_DAYS = 2
"""Up to so many days, hours are shown instead."""

_HEADINGS = ("step", "percent", "users", "candidates", "odds against the split", "requests", "of the candidate")
_PART_HEADINGS = ("users", "candidates", "requests", "of the candidate")
_DECADES = 7
"""Odds above 10,000,000 to 1 are written as a power of ten."""

_REASONS = {
    "split": "by bucket",
    "stale": "by bucket, the flag's source being silent",
    "targeting_match": "pinned to an arm",
    "default": "without a user key",
    "disabled": "everybody at base",
}


def add_parser(actions: Any) -> None:
    """Add `report traffic`."""
    command: argparse.ArgumentParser = actions.add_parser(
        "traffic",
        help="users and requests by arm against the percentage, step by step; by hour, day and source of user keys",
        description="How the split came out, step by step. docs/reports.md says how it is judged.",
    )
    add_narrowing_options(command)
    add_division(command)
    add_reach_options(command)
    command.set_defaults(run=run_traffic, only_reports=True)


def run_traffic(arguments: argparse.Namespace) -> int:
    """Print the report on traffic."""
    with reach(arguments) as console:
        found = console.report(TrafficReport, wanted(arguments))
    if arguments.json:
        write_json(found)
    else:
        write_traffic(found)
    return 0


def write_traffic(found: TrafficReport) -> None:
    """Print the steps, whether they are believed, and how much was asked when."""
    say, requests = sys.stdout.write, found.base_requests + found.candidate_requests
    say(f"{subject(found.asked)}: {span(requests, found.first_at, found.last_at)}\n")
    if found.steps:
        write_part(_HEADINGS, [_step(one) for one in found.steps])
        say("\n")
        for line in (*_doubts(found.steps), _buckets(found.buckets)):
            say(f"{line}\n")
        if found.by is not None:
            write_part((plain(found.by), *_PART_HEADINGS), [_part(one) for one in found.parts])
        is_short = len(found.days) <= _FEW_DAYS
        _write_spans("hour" if is_short else "day", found.hours if is_short else found.days)
    say("\n")
    for words, counts in (("user keys", found.sources), ("arms", found.reasons), ("other purposes", found.left_out)):
        if counts:
            say(f"{words}: {', '.join(_counted(words, counts))}\n")
    for line in freshness_lines(found.freshness, found.as_of):
        say(f"{line}\n")
    say("How the split is judged: docs/reports.md\n")


def _step(one: StepTraffic) -> Sequence[object]:
    users, requests = one.base_users + one.candidate_users, one.base_requests + one.candidate_requests
    return (
        one.step,
        None if one.percent is None else f"{one.percent:g} %",
        f"{users:,}",
        percent(one.candidate_users / users) if users else None,
        _odds(one),
        f"{requests:,}",
        percent(one.candidate_requests / requests),
    )


def _part(one: PartTraffic) -> Sequence[object]:
    users, requests = one.base_users + one.candidate_users, one.base_requests + one.candidate_requests
    return (
        plain(one.name),
        f"{users:,}",
        percent(one.candidate_users / users),
        f"{requests:,}",
        percent(one.candidate_requests / requests),
    )


def _odds(one: StepTraffic) -> str | None:
    if one.sample_ratio is None:
        return None
    if one.sample_ratio.log_odds is None:
        return "wrong" if one.sample_ratio.is_alarming else "none"
    odds = one.sample_ratio.log_odds
    return f"{_number(odds)} to 1" if odds >= 0 else f"1 to {_number(-odds)}"


def _number(logarithm: float) -> str:
    """Write the number whose natural logarithm this is; very large ones as a power of ten."""
    decades = logarithm / math.log(10)
    return f"{math.exp(logarithm):,.0f}" if decades < _DECADES else f"10^{decades:.0f}"


def _doubts(steps: Sequence[StepTraffic]) -> Iterable[str]:
    """Say what is wrong with the steps; if nothing is, that."""
    said = [line for one in steps for line in _doubts_of(one)]
    yield from said or ["the arms have their shares of users: nothing speaks against the split"]


def _doubts_of(one: StepTraffic) -> Iterable[str]:
    place = "" if one.step is None else f"step {one.step}: "
    ratio = one.sample_ratio
    if ratio is not None and ratio.is_alarming:
        due = ratio.users * ratio.expected_share
        yield (
            f"{place}{ratio.candidates:,} of {ratio.users:,} users are candidates, {due:,.0f} expected"
            f"{'' if ratio.log_odds is None else f': odds {_number(ratio.log_odds)} to 1 against the split'}. "
            "Conclude nothing from this step"
        )
    if one.crossed_users:
        users = "1 user was" if one.crossed_users == 1 else f"{one.crossed_users:,} users were"
        yield f"{place}{users} assigned both arms, which the split alone never does"
    if one.mixed_requests:
        requests = "1 request was" if one.mixed_requests == 1 else f"{one.mixed_requests:,} requests were"
        yield f"{place}{requests} decided by another percentage, and place no user"


def _buckets(found: Evenness) -> str:
    if found.chance is None or found.chi_square is None:
        return f"buckets: {found.users:,} users; {found.least_users:,} are needed to tell whether they lie evenly"
    words = "UNEVEN: " if found.is_alarming else ""
    chance = f"{found.chance * 100:.2g}" if found.chance < 0.1 else f"{found.chance * 100:.0f}"
    return (
        f"buckets: {words}{found.fewest:,} to {found.most:,} of {found.users:,} users in each hundredth, "
        f"{found.users / found.bins:,.0f} due; chance alone is as uneven in {chance} of 100 cases "
        f"(chi-square {found.chi_square:.1f}, {found.bins - 1} degrees of freedom)"
    )


def _write_spans(name: str, spans: Sequence[Span]) -> None:
    rows = [
        (
            _at(one.at, name),
            f"{one.base_requests:,}",
            f"{one.candidate_requests:,}",
            percent(one.candidate_requests / (one.base_requests + one.candidate_requests)),
        )
        for one in spans
    ]
    write_part((f"{name} (UTC)", "base", "candidate", "of the candidate"), rows)


def _at(at: int, name: str) -> str:
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%d %H:00" if name == "hour" else "%Y-%m-%d")


def _counted(words: str, counts: Sequence[Counted]) -> Iterable[str]:
    whole = sum(one.requests for one in counts)
    for one in counts:
        name = _REASONS.get(one.name or "", plain(one.name)) if words == "arms" else plain(one.name)
        yield f"{name} {one.requests:,} ({percent(one.requests / whole)})"
