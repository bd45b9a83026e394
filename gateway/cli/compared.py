"""The head-to-head table as people read it: both arms beside each other, and what they are made of."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from analytics.comparison import ArmFigures, Arms, Comparison
from analytics.figures import Difference
from analytics.satisfaction import Satisfaction
from gateway.cli import figures
from gateway.cli.figures import Write
from gateway.cli.freshness import freshness_lines
from gateway.cli.table import write_table
from rollout.change import moment

HEADINGS = ("", "base", "candidate", "difference", "ratio")
_NO_CAUSE = (
    "By the arm that served: no evidence of what a model causes, since who was served otherwise than assigned is no "
    "chance; the table above is."
)


def write_comparison(found: Comparison) -> None:
    """Print both arms beside each other, and what they are made of."""
    say = sys.stdout.write
    say(f"Rollout {found.rollout}, generation {found.generation}{narrowed(found)}: {_span(found)}\n")
    say(f"{_endpoints(found)}\n")
    write_table(HEADINGS, _rows(found), figures=(1, 2))
    if found.as_treated is not None:
        say(f"\n{_NO_CAUSE}\n")
        write_table(HEADINGS, _rows(found.as_treated), figures=(1, 2))
    say("\n")
    for name, arm in (("base", found.base), ("candidate", found.candidate)):
        if arm.model is not None:
            say(f"{name}: {arm.model}\n")
    fresh = freshness_lines(found.freshness, found.as_of)
    for line in (*_notes(found), *fresh, "What each line means, and the SQL behind it: docs/reports.md"):
        say(f"{line}\n")


def write_comparisons(found: Sequence[Comparison], by: str) -> None:
    """Print a small table for each part of a divided report."""
    for one in found:
        sys.stdout.write(f"{by} {one.part if one.part is not None else '-'}: {_span(one)}\n")
        write_table(HEADINGS, _rows(one, compact=True), figures=(1, 2))
        if one.as_treated is not None:
            sys.stdout.write(f"{_NO_CAUSE}\n")
            write_table(HEADINGS, _rows(one.as_treated, compact=True), figures=(1, 2))
        sys.stdout.write("\n")
    if not found:
        sys.stdout.write("no request of a split user yet\n")
    for line in freshness_lines(found[0].freshness, found[0].as_of) if found else ():
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("What each line means, and the SQL behind it: docs/reports.md\n")


def _rows(found: Arms, *, compact: bool = False) -> list[Sequence[object]]:
    rows = [*_counts(found), *([] if compact else _failures(found)), *_speed(found), *_money(found)]
    shares = [
        _share("satisfied users, of those who rated", found, "satisfaction"),
        _share("answers that were rated", found, "response_rate"),
    ]
    return [row for row in (*rows, *shares) if not (compact and row[1] is None and row[2] is None)]


def _counts(found: Arms) -> list[Sequence[object]]:
    base, candidate = found.base, found.candidate
    errors = found.difference["error_rate"]
    return [
        ("users", figures.count(base.users), figures.count(candidate.users), "", ""),
        ("requests", figures.count(base.requests), figures.count(candidate.requests), "", ""),
        ("failed", _failed(base), _failed(candidate), figures.apart(errors, figures.points), figures.ratio(errors)),
    ]


def _failures(found: Arms) -> list[Sequence[object]]:
    """Return a line for each way to fail, the most frequent first."""
    arms = (found.base, found.candidate)
    names = {name: sum(arm.failures.get(name, 0) for arm in arms) for arm in arms for name in arm.failures}
    return [
        (f"  {name}", *(_counted(arm, arm.failures.get(name, 0)) for arm in arms), "", "")
        for name in sorted(names, key=lambda name: (-names[name], name))
    ]


def _speed(found: Arms) -> list[Sequence[object]]:
    return [
        _line("half answered within (p50)", found, "latency_p50_ms", figures.ms),
        _line("99 of 100 answered within (p99)", found, "latency_p99_ms", figures.ms),
        _line("first words within, half of streams (TTFT)", found, "ttft_p50_ms", figures.ms),
        _line("time per output token", found, "output_token_ms", figures.ms),
        _line("tokens per answer", found, "output_tokens", figures.tokens),
    ]


def _money(found: Arms) -> list[Sequence[object]]:
    base, candidate = found.base, found.candidate
    each = figures.dollars(base.cost_usd.value, candidate.cost_usd.value)
    total = figures.dollars(base.total_cost_usd, candidate.total_cost_usd)
    totals = (figures.known(arm.total_cost_usd, total) for arm in (base, candidate))
    return [
        _line("cost per request", found, "cost_usd", each),
        ("total cost", *totals, "", ""),
        ("requests of unknown cost", _unknown(base), _unknown(candidate), "", ""),
    ]


def _line(words: str, found: Arms, name: str, write: Write) -> Sequence[object]:
    return figures.line(
        words, [getattr(arm, name) for arm in (found.base, found.candidate)], found.difference[name], write
    )


def _share(words: str, found: Arms, name: str) -> Sequence[object]:
    difference: Difference = found.difference[name]
    shares = [figures.share(getattr(arm, name)) for arm in (found.base, found.candidate)]
    return (words, *shares, figures.apart(difference, figures.points), figures.ratio(difference))


def _failed(arm: ArmFigures) -> str | None:
    return None if arm.error_rate.value is None else _counted(arm, arm.errors)


def _counted(arm: ArmFigures, errors: int) -> str | None:
    return f"{errors:,} ({errors / arm.error_rate.of * 100:.2f} %)" if arm.error_rate.of else None


def _unknown(arm: ArmFigures) -> str | None:
    return f"{arm.cost_unknown:,}" if arm.requests else None


def narrowed(found: Comparison | Satisfaction) -> str:
    """Say to what the table is narrowed, beside the times that its first line has anyway."""
    named = {"step": found.step, "phase": found.phase, "application": found.application, "endpoint": found.endpoint}
    words = [f"{name} {value}" for name, value in named.items() if value is not None]
    words += [f"tag {tag}" for tag in found.tags]
    words += [] if found.purpose == "live" else [f"purpose {found.purpose}"]
    words += ["with pinned users"] if found.forced else []
    return "".join(f", {word}" for word in words)


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
    counts = ", ".join(f"{name} {number:,}" for name, number in found.endpoints.items())
    return f"{counts}; --endpoint {next(iter(found.endpoints))} for one alone\n"


def _notes(found: Comparison) -> list[str]:
    left = found.left_out
    reasons = [
        f"{number:,} {words}"
        for number, words in (
            (left.forced, "of users pinned to an arm"),
            (left.without_user, "without a user key"),
            (left.not_live, "that were no live traffic" if found.purpose == "live" else "made for other purposes"),
        )
        if number
    ]
    notes = [f"left out: requests {', '.join(reasons)}"] if reasons else []
    if found.first_step != found.last_step:
        notes.append(
            f"The percentage moved in this time, so the arms had different hours and users: compare one step alone, "
            f"--step {found.first_step} to {found.last_step}."
        )
    if any(one.low is not None for one in found.difference.values()):
        notes.append("In brackets: 95 % intervals, each user counting once. No verdict: gates are apart.")
    return notes
