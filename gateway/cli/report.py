"""`turnout report`: what the lake knows of a rollout, as tables for people and JSON for programs."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from analytics.comparison import ArmFigures, Comparison, Difference, Figure
from gateway.cli.client import add_reach_options, reach
from gateway.cli.freshness import freshness_lines
from gateway.cli.lakes import HELP
from gateway.cli.table import write_json, write_table
from rollout.change import moment

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
Write = Callable[[float], str]


def add_parser(commands: Any) -> None:
    """Add `report` with its actions."""
    command: argparse.ArgumentParser = commands.add_parser("report", help="compare a rollout's two arms")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    compare = actions.add_parser(
        "compare",
        help="base and candidate head to head: errors, latency, tokens, cost, satisfaction",
        description="Base and candidate head to head. docs/reports.md says how each line is computed.",
    )
    add = compare.add_argument
    add("rollout", metavar="ROLLOUT", nargs="?", help="a rollout or its flag; without it: the only one")
    add("--step", type=_number, metavar="N", help="one step alone: between two moves of the percentage (default: all)")
    add(
        "--endpoint", metavar="NAME", help="one endpoint alone, as the records name it: chat.completions (default: all)"
    )
    add("--generation", type=_number, metavar="N", help="a former generation of its arms (default: the present)")
    add(
        "--since",
        type=since_of,
        metavar="TIME",
        help="requests from then on: 2026-11-22, 2026-11-22T14:30Z, or 90m, 24h, 7d",
    )
    add("--until", type=since_of, metavar="TIME", help="requests before then")
    add(
        "--lake",
        metavar="PLACE",
        help=f"with --direct: {HELP}",
    )
    add_reach_options(compare)
    compare.set_defaults(run=run_compare, only_reports=True)


def run_compare(arguments: argparse.Namespace) -> int:
    """Print one comparison."""
    wanted = {name: getattr(arguments, name) for name in ("generation", "step", "endpoint", "since", "until")}
    with reach(arguments) as console:
        found = console.compare(arguments.rollout, {name: value for name, value in wanted.items() if value is not None})
    if arguments.json:
        write_json(found)
    else:
        write_comparison(found)
    return 0


def write_comparison(found: Comparison) -> None:
    """Print both arms beside each other, and what they are made of."""
    base, candidate = found.base, found.candidate
    sys.stdout.write(f"Rollout {found.rollout}, generation {found.generation}: {_span(found)}\n")
    sys.stdout.write(f"{_endpoints(found)}\n")
    write_table(("", "base", "candidate", "difference"), _rows(found), figures=(1, 2))
    sys.stdout.write("\n")
    for name, arm in (("base", base), ("candidate", candidate)):
        if arm.model is not None:
            sys.stdout.write(f"{name}: {arm.model}\n")
    fresh = freshness_lines(found.freshness, found.as_of)
    for line in (*_notes(found), *fresh, "What each line means, and the SQL behind it: docs/reports.md"):
        sys.stdout.write(f"{line}\n")


def since_of(text: str) -> str:
    """Return a time as ISO 8601 writes it; `90m`, `24h` and `7d` are that long ago.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago:
            return (datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
        datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time; write 2026-11-22, 2026-11-22T14:30Z (UTC without a zone), or 90m, 24h, 7d"
        raise argparse.ArgumentTypeError(message) from error
    return text


def _number(text: str) -> str:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) < 2**31 and len(text) <= 10):
        message = f"{text!r} is no number of a step or a generation; `turnout rollout show` tells the present ones"
        raise argparse.ArgumentTypeError(message)
    return text


def _rows(found: Comparison) -> list[Sequence[object]]:
    base, candidate, by = found.base, found.candidate, found.difference
    errors = by["error_rate"]
    return [
        ("users", _count(base.users), _count(candidate.users), ""),
        ("requests", _count(base.requests), _count(candidate.requests), ""),
        ("failed", _failed(base), _failed(candidate), _points(errors)),
        _row("half answered within (p50)", found, "latency_p50_ms", _ms),
        _row("99 of 100 answered within (p99)", found, "latency_p99_ms", _ms),
        _row("first words within, half of streams (TTFT)", found, "ttft_p50_ms", _ms),
        _row("tokens per answer", found, "output_tokens", _tokens),
        (
            "cost per request",
            *_dollars(base.cost_usd.value, candidate.cost_usd.value),
            _relative(by["cost_usd"], base.cost_usd),
        ),
        ("total cost", *_dollars(base.total_cost_usd, candidate.total_cost_usd), ""),
        ("requests of unknown cost", _unknown(base), _unknown(candidate), ""),
        (
            "satisfied users, of those who rated",
            _share(base.satisfaction),
            _share(candidate.satisfaction),
            _points(by["satisfaction"]),
        ),
        (
            "answers that were rated",
            _share(base.response_rate),
            _share(candidate.response_rate),
            _points(by["response_rate"]),
        ),
    ]


def _row(words: str, found: Comparison, name: str, write: Write) -> Sequence[object]:
    base: Figure = getattr(found.base, name)
    candidate: Figure = getattr(found.candidate, name)
    return (words, _known(base.value, write), _known(candidate.value, write), _relative(found.difference[name], base))


def _relative(difference: Difference, base: Figure) -> str:
    if difference.relative is None:
        return ""
    words = f"{difference.relative:+.1%}".replace("%", " %")
    if difference.low is None or difference.high is None or not base.value:
        return words
    return f"{words}  ({difference.low / base.value * 100:+.1f} to {difference.high / base.value * 100:+.1f})"


def _points(difference: Difference) -> str:
    if difference.value is None:
        return ""
    words = f"{difference.value * 100:+.2f} points"
    if difference.low is None or difference.high is None:
        return words
    return f"{words}  ({difference.low * 100:+.2f} to {difference.high * 100:+.2f})"


def _failed(arm: ArmFigures) -> str | None:
    return None if arm.error_rate.value is None else f"{arm.errors:,} ({arm.error_rate.value:.2%})".replace("%", " %")


def _unknown(arm: ArmFigures) -> str | None:
    if not arm.requests:
        return None
    return f"{arm.cost_unknown:,}"


def _share(figure: Figure) -> str | None:
    return None if figure.value is None else f"{figure.value:.1%} of {figure.of:,}".replace("%", " %")


def _known(value: float | None, write: Write) -> str | None:
    return None if value is None else write(value)


def _count(number: int) -> str:
    return f"{number:,}"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def _tokens(value: float) -> str:
    return f"{value:,.1f}"


def usd(value: float) -> str:
    """Write dollars with four digits that say something: $0.0002133 and $1,234.57."""
    if value >= 1:
        return f"${value:,.2f}"
    return f"${value:.4g}" if value >= 0.0001 else f"${value:.10f}".rstrip("0").rstrip(".")


def _dollars(*amounts: float | None) -> list[str | None]:
    """Write amounts that stand beside each other, all with the decimals of the one that needs the most."""
    decimals = max((len(usd(one).partition(".")[2]) for one in amounts if one is not None), default=0)
    return [None if one is None else f"${one:,.{decimals}f}" for one in amounts]


def _span(found: Comparison) -> str:
    if found.first_at is None or found.last_at is None:
        return "no request of a split user yet"
    requests = found.base.requests + found.candidate.requests
    return f"{requests:,} requests, {moment(found.first_at)} to {moment(found.last_at)}{_percent(found)}"


def _percent(found: Comparison) -> str:
    low, high = found.percent_low, found.percent_high
    if low is None or high is None:
        return ""
    return f"; candidate at {low:g} %" if low == high else f"; candidate at {low:g} to {high:g} % of users"


def _endpoints(found: Comparison) -> str:
    """Say which endpoints are mixed in the figures; nothing where it is one."""
    if len(found.endpoints) < 2:
        return ""
    counts = ", ".join(f"{name} {count:,}" for name, count in found.endpoints.items())
    return f"{counts}; --endpoint {next(iter(found.endpoints))} for one alone\n"


def _notes(found: Comparison) -> list[str]:
    left = found.left_out
    reasons = [
        f"{count:,} {words}"
        for count, words in (
            (left.forced, "of users pinned to an arm"),
            (left.without_user, "without a user key"),
            (left.not_live, "that were no live traffic"),
        )
        if count
    ]
    notes = [f"left out: requests {', '.join(reasons)}"] if reasons else []
    if found.first_step != found.last_step:
        notes.append(
            f"The percentage moved in this time, so the arms had different hours and users: compare one step alone, "
            f"--step {found.first_step} to {found.last_step}."
        )
    if any(one.low is not None for one in found.difference.values()):
        notes.append(
            "In brackets: 95 % interval of the difference, each user counting once. No verdict: gates are apart."
        )
    return notes
