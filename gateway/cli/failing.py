"""`turnout report errors`: what fails, where, how often, since when, and whether anybody saw it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from analytics.failures import FailureGroup, FailureReport
from gateway.cli.client import add_reach_options, reach
from gateway.cli.freshness import freshness_lines
from gateway.cli.narrowing import add_division, add_narrowing_options, wanted
from gateway.cli.reported import percent, plain, span, subject
from gateway.cli.table import write_json, write_table
from rollout.change import moment

_SHOWN = 20
_HEADINGS = (
    "failures",
    "users",
    "share",
    "arm",
    "model",
    "upstream",
    "endpoint",
    "what failed",
    "request",
    "first",
    "last",
)


def add_parser(actions: Any) -> None:
    """Add `report errors`."""
    command: argparse.ArgumentParser = actions.add_parser(
        "errors",
        help="what fails, where, how often, since when; and what a fallback rescued",
        description="Failures that are alike, with ids of examples. Without ROLLOUT: of all traffic.",
    )
    add_narrowing_options(command)
    add_division(command)
    command.add_argument("--all", action="store_true", help=f"show every group (default: the {_SHOWN} most frequent)")
    add_reach_options(command)
    command.set_defaults(run=run_errors, only_reports=True)


def run_errors(arguments: argparse.Namespace) -> int:
    """Print the report on failures."""
    with reach(arguments) as console:
        found = console.report(FailureReport, wanted(arguments))
    if arguments.json:
        write_json(found)
    else:
        write_failures(found, most=len(found.groups) if arguments.all else _SHOWN)
    return 0


def write_failures(found: FailureReport, *, most: int) -> None:
    """Print the `most` frequent groups, and an example of each."""
    say = sys.stdout.write
    say(f"{subject(found.asked)}: {span(found.requests, found.first_at, found.last_at)}\n")
    for line in _counts(found):
        say(f"{line}\n")
    shown = found.groups[:most]
    if shown:
        say("\n")
        parts = () if found.by is None else (plain(found.by),)
        rows = [(*((plain(one.part),) if parts else ()), *_row(one)) for one in shown]
        write_table((*parts, *_HEADINGS), rows, figures=range(len(parts), len(parts) + 3))
        say("\nnewest requests of each, in the same order:\n")
        for one in shown:
            say(f"  {_place(one)}{_what(one)}: {' '.join(one.examples)}\n")
    if found.group_count > len(shown):
        where = "--all shows" if len(shown) < len(found.groups) else "the report lists"
        listed = f"{len(found.groups):,}" if found.group_count > len(found.groups) else "them"
        say(f"\n{found.group_count - len(shown):,} more groups; {where} {listed}\n")
    say("\n")
    for line in freshness_lines(found.freshness, found.as_of):
        say(f"{line}\n")
    say("What is counted: docs/reports.md\n")


def _counts(found: FailureReport) -> Iterable[str]:
    if found.requests:
        yield (
            f"{found.failed:,} failed ({percent(found.failed / found.requests)}); the models' servers refused "
            f"{found.client_errors:,}, the gateway {found.refused:,}"
        )
        yield (
            f"{found.rescued_by_fallback:,} more failed at first and were answered by the base, "
            f"{found.rescued_by_another_try:,} by another try: no caller saw it"
        )
    if found.left_out_forced:
        yield f"left out: {found.left_out_forced:,} requests of pinned users (--forced takes them in)"
    if found.left_out_not_live:
        yield f"left out: {found.left_out_not_live:,} requests made for other purposes"


def _row(one: FailureGroup) -> Sequence[object]:
    return (
        f"{one.failures:,}",
        one.users,
        percent(one.share),
        one.arm,
        None if one.model is None else plain(one.model),
        one.upstream,
        one.endpoint,
        _what(one),
        one.outcome if one.rescued_by is None else f"ok by {one.rescued_by}",
        moment(one.first_at),
        moment(one.last_at),
    )


def _place(one: FailureGroup) -> str:
    words = [one.arm, None if one.model is None else plain(one.model)]
    return "".join(f"{word}, " for word in words if word is not None)


def _what(one: FailureGroup) -> str:
    """Name what failed: the class, and the status where that does not tell."""
    words = one.error_class or one.outcome
    status = "" if one.status is None or str(one.status) in words else f" {one.status}"
    return f"{plain(words)}{status}"
