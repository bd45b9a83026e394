"""The protocol: one check watched for a week, by Turnout's rules and by four others, over the very same traffic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from analytics.evidence import CheckSums
from benchmarks.gates import comparators
from benchmarks.gates.drawn.counts import Counts, drawn, generator
from benchmarks.gates.drawn.sums import caps, check_sums, drift, uncapped
from benchmarks.gates.runs import Aim, Case, Outcome, Table
from benchmarks.gates.scenario import DAY_H, Scenario
from benchmarks.gates.steps import Tick, follow, step
from rollout.phase import Margin

ALPHA = 0.05
MARGIN = Margin(relative=0.25, absolute=0.002, min_users=100, min_requests=1000, alpha=ALPHA)

RULES = ("naive", "clustered", "GLR", "AsympCS", "FAIL")
REFERENCES = (
    (Scenario(icc=0.01), (0.290, None, 0.042, 0.009, 0.003), 0.964, ()),
    (Scenario(icc=0.09), (0.400, None, 0.220, 0.001, 0.004), 0.306, ()),
    (Scenario(icc=0.09, share=0.5), (0.473, None, 0.288, 0.006, 0.008), 0.755, ()),
    (Scenario(icc=0.01, effect=1.5), (1.0, None, 0.989, 0.910, 0.940), 0.0, (12, None, 42, 48, 60)),
    (Scenario(icc=0.01, effect=2.0), (1.0, None, 1.0, 0.999, 1.0), 0.0, (6, None, 18, 18, 24)),
    (Scenario(icc=0.09, effect=1.5), (0.915, None, 0.831, 0.056, 0.360), 0.003, (12, None, 42, 66, 168)),
    (Scenario(icc=0.09, effect=2.0), (0.998, None, 0.991, 0.403, 0.881), 0.0, (6, None, 18, 66, 168)),
    (Scenario(icc=0.09, effect=3.0), (1.0, None, 1.0, 0.875, 1.0), 0.0, (6, None, 6, 30, 30)),
)


def ticks(counts: Counts, scenario: Scenario, sums: list[CheckSums]) -> list[Tick]:
    """Return what each tick knows of errors, the drift monitor's word included where ticks are shorter than days."""
    day_ticks = round(DAY_H / scenario.tick_h)
    correlations = drift(counts, caps(counts), day_ticks) if day_ticks else [None] * len(sums)
    return [
        Tick(hour=(number + 1) * scenario.tick_h, checks={"errors": each}, drift={"errors": rho})
        for number, (each, rho) in enumerate(zip(sums, correlations, strict=True))
    ]


def play(scenario: Scenario, seed: int, run: int) -> Outcome:
    """Play one run under all rules."""
    counts = drawn(generator(seed, scenario.name, run), scenario)
    sums, plain = check_sums(counts), uncapped(counts)
    rules: dict[str, Callable[[int], bool]] = {
        "naive": lambda tick: comparators.naive(sums[tick]),
        "clustered": lambda tick: comparators.clustered(*plain[tick]),
        "GLR": lambda tick: comparators.likelihood_ratio(sums[tick], ALPHA),
        "AsympCS": lambda tick: comparators.asymptotic_sequence(*plain[tick], ALPHA),
    }
    outcome: dict[str, float | None] = {}
    ready = [tick for tick in range(len(sums)) if comparators.meets_minima(sums[tick])]
    for name, rule in rules.items():
        _note(outcome, name, next(((tick + 1) * scenario.tick_h for tick in ready if rule(tick)), None))
    end = follow(step(scenario.share * 100, scenario.dwell_h, {"errors": MARGIN}), ticks(counts, scenario, sums))
    _note(outcome, "FAIL", end.hour if end.failed else None)
    return {**outcome, "PASS": float(end.passed == 1)}


def _note(outcome: dict[str, float | None], rule: str, hour: float | None) -> None:
    outcome[rule] = float(hour is not None)
    if hour is not None:
        outcome[f"{rule} h"] = hour


def table() -> Table:
    """Return the protocol's eight rows, beside what the design's own reference reached."""
    cases = [
        Case(name=_named(scenario), play=partial(play, scenario), aims=_aims(scenario, shares, passes, hours))
        for scenario, shares, passes, hours in REFERENCES
    ]
    figures = dict.fromkeys((*RULES, "PASS"), "share") | {f"{name} h": "median" for name in RULES}
    return Table(
        name="protocol",
        title="One check for a week, beside other rules",
        words=(
            "4,000 users with 2.1 requests per 6 hours on average (lognormal, σ 1.2), 2 % errors, half of the "
            "users there from the start; a tick every 6 hours for 7 days; α = .05, one-sided. Share of runs in "
            "which each rule calls the candidate worse, and the median hour of those; PASS is at the look after "
            "7 days."
        ),
        runs=10_000,
        figures=figures,  # pyright: ignore[reportArgumentType] - the values are all of `Sort`
        cases=cases,
    )


def _named(scenario: Scenario) -> str:
    harm = "A/A" if scenario.effect == 1.0 else f"x{scenario.effect:g}"
    arm = "" if scenario.share == replace(scenario, share=0.1).share else f", {scenario.share * 100:g} %"
    return f"{harm}, ICC {scenario.icc:g}{arm}"


def _aims(
    scenario: Scenario, shares: tuple[float | None, ...], passes: float, hours: tuple[float | None, ...]
) -> dict[str, Aim]:
    aims = {name: Aim(reference=value) for name, value in zip(RULES, shares, strict=True)}
    aims["PASS"] = Aim(reference=passes)
    if scenario.effect == 1.0:
        aims["FAIL"] = Aim(reference=shares[-1], at_most=ALPHA)
    else:
        aims["PASS"] = Aim(reference=passes, at_most=ALPHA)
    return aims | {
        f"{name} h": Aim(reference=value, grain=scenario.tick_h) for name, value in zip(RULES, hours, strict=False)
    }
