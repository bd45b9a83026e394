"""How often a candidate passes that is exactly as bad as the margin, or of which too little was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import get_args

from benchmarks.gates.drawn.counts import Counts, drawn, generator
from benchmarks.gates.drawn.sums import check_sums
from benchmarks.gates.protocol import MARGIN
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.scenario import Harm, Scenario
from benchmarks.gates.steps import Tick, follow, step
from rollout.phase import Margin

_WEEK_H = 168.0
_FALSE_PASS = 0.05
_SATISFACTION = Margin(absolute=0.03, min_users=100, min_requests=300, alpha=0.05)
_NEVER = Aim(at_most=0.0)


def bad(margin: Margin, rate: float) -> float:
    """Return how many times base's rate the margin is."""
    return ((1 + margin.relative) * rate + margin.absolute) / rate


def play(scenario: Scenario, margin: Margin, seed: int, run: int) -> Outcome:
    """Look at the scheduled looks alone; nothing that other ticks may roll back is taken away."""
    counts = drawn(generator(seed, scenario.name, run), scenario)
    end = follow(step(scenario.share * 100, scenario.dwell_h, {"errors": margin}), _looks(counts, scenario))
    seen = counts.at([end.passed - 1]) if end.passed else None
    below = seen is not None and _is_below(seen, margin)
    return {"PASS": float(end.passed > 0), "PASS below minima": float(below)}


def _looks(counts: Counts, scenario: Scenario) -> Sequence[Tick]:
    return [
        Tick(hour=(number + 1) * scenario.tick_h, checks={"errors": each})
        for number, each in enumerate(check_sums(counts))
    ]


def _is_below(seen: Counts, margin: Margin) -> bool:
    candidate = seen.n[0, seen.base :]
    return int((candidate > 0).sum()) < margin.min_users or int(candidate.sum()) < margin.min_requests


def two_looks() -> Table:
    """Return the protocol's crowd at the margin, for both looks together."""
    scenarios = [
        Scenario(icc=icc, share=share, effect=bad(MARGIN, 0.02), tick_h=_WEEK_H, horizon_h=2 * _WEEK_H)
        for icc in (0.0, 0.01, 0.09)
        for share in (0.1, 0.5)
    ]
    return Table(
        name="margin-two-looks",
        title="Passed although at the margin, at either of two looks",
        words=(
            "The protocol's traffic for 14 days; the candidate's error rate is the margin's, 2.7 % against 2 %. "
            "At most .05 may pass."
        ),
        runs=10_000,
        figures={"PASS": "share", "PASS below minima": "share"},
        cases=[
            Case(
                name=f"ICC {each.icc:g}, {each.share * 100:g} %",
                play=partial(play, each, MARGIN),
                aims={"PASS": Aim(at_most=_FALSE_PASS), "PASS below minima": _NEVER},
            )
            for each in scenarios
        ],
    )


def one_look() -> Table:
    """Return small crowds at the margin, for one look."""
    cases = [
        _one(Scenario(rate=rate, icc=icc, harm=harm, users=users * 10, effect=bad(margin, rate)), margin)
        for rate, margin in ((0.0005, MARGIN), (0.002, MARGIN), (0.02, MARGIN), (0.2, _SATISFACTION))
        for users in (100, 200, 400)
        for harm in get_args(Harm)
        for icc in (0.01, 0.09)
    ]
    return Table(
        name="margin-one-look",
        title="Passed although at the margin, at one look, with few users",
        words=(
            "100 to 400 candidate users of ten times as many, one look after 7 days, the candidate's rate at "
            "the margin: base's rates multiplied, raised, or drawn anew. Nominal is .025, at most .05 may pass."
        ),
        runs=5_000,
        figures={"PASS": "share", "PASS below minima": "share"},
        cases=cases,
    )


def below_minima() -> Table:
    """Return crowds without any difference that have too few users, or too few requests."""
    crowds = (
        ("99 users with all the requests one likes", Scenario(users=990, requests=20.0, rate=0.0005, present=1.0)),
        ("400 users with 2 requests each", Scenario(users=4000, requests=2 / 28, rate=0.0005, present=1.0)),
        ("1 user", Scenario(users=10, requests=400.0, rate=0.0005, present=1.0)),
    )
    cases = [
        _one(replace(each, effect=0.0 if perfect else 1.0, skew=0.3), MARGIN, name + (", no error" if perfect else ""))
        for name, each in crowds
        for perfect in (False, True)
    ]
    return Table(
        name="below-minima",
        title="Passed with less than the minima",
        words=(
            "Candidates that are equal or better, looked at once, with fewer than 100 users or 1,000 requests: "
            "none passes."
        ),
        runs=2_000,
        figures={"PASS below minima": "share"},
        cases=cases,
    )


def _one(scenario: Scenario, margin: Margin, name: str | None = None) -> Case:
    one = replace(scenario, tick_h=_WEEK_H, is_exact=True)
    words = f"rate {one.rate:g}, {one.users // 10} users, {one.harm}, ICC {one.icc:g}"
    aims = {"PASS": Aim(at_most=_FALSE_PASS), "PASS below minima": _NEVER}
    return Case(name=name or words, play=partial(play, one, margin), aims=aims)
