"""How often slower candidates are rolled back, and pass: two thousand users whose latencies are alike within each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from analytics.evidence import Check
from benchmarks.gates.drawn.counts import generator
from benchmarks.gates.drawn.latencies import Latencies, slow_counts
from benchmarks.gates.drawn.sums import caps, check_sums, drift
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.scenario import DAY_H
from benchmarks.gates.steps import Tick, follow, step
from rollout.phase import Margin

_ALPHA = 0.05
_MEDIAN = Latencies(quantile=0.5, ratio=1.1)


def play(latencies: Latencies, seed: int, run: int) -> Outcome:
    """Watch one step until its first look."""
    check: Check = "p99" if latencies.quantile > 0.5 else "p50"
    margin = Margin(ratio=latencies.ratio, min_requests=2000 if check == "p99" else 1000, alpha=_ALPHA)
    counts = slow_counts(generator(seed, latencies.name, run), latencies)
    correlations = drift(counts, caps(counts), round(DAY_H / latencies.tick_h))
    followed = [
        Tick(hour=(number + 1) * latencies.tick_h, checks={check: sums}, drift={check: rho})
        for number, (sums, rho) in enumerate(zip(check_sums(counts), correlations, strict=True))
    ]
    end = follow(step(latencies.share * 100, latencies.dwell_h, {check: margin}), followed)
    hours = {"FAIL h": end.hour} if end.failed else {}
    return {"FAIL": float(end.failed), "PASS": float(end.passed > 0), **hours}


def table() -> Table:
    """Return the rows of the design, and a candidate that is worse, but within its margin."""
    cases = [
        _case(Latencies(), Aim(at_most=_ALPHA, reference=0.002)),
        _case(_MEDIAN, Aim(at_most=_ALPHA)),
        _case(Latencies(slower=1.2), Aim(reference=0.585), Aim(at_most=0.05, reference=0.015)),
        _case(Latencies(slower=1.3), Aim(reference=0.99)),
        _case(Latencies(slower=1.5), Aim(reference=1.0)),
        _case(replace(_MEDIAN, slower=1.05), Aim()),
        _case(replace(_MEDIAN, slower=1.2), Aim(reference=1.0)),
        _case(Latencies(share=0.5), Aim(at_most=_ALPHA)),
        _case(Latencies(share=0.5, slower=1.2), Aim(), Aim(at_most=0.05)),
        _case(Latencies(share=0.5, slower=1.5), Aim()),
    ]
    return Table(
        name="latency",
        title="Slower candidates",
        words=(
            "2,000 users with 50 requests each in 7 days; the latency's logarithm has a standard deviation of "
            ".3 between users and .6 within; the candidate's latencies are multiplied. Q0 comes from 100,000 "
            "requests of the week before. α = .05, a tick every 6 hours, one look."
        ),
        runs=1_000,
        figures={"FAIL": "share", "PASS": "share", "FAIL h": "median"},
        cases=cases,
    )


def _case(latencies: Latencies, fail: Aim, passes: Aim | None = None) -> Case:
    aims = {"FAIL": fail} | ({"PASS": passes} if passes else {})
    return Case(name=latencies.name, play=partial(play, latencies), aims=aims)
