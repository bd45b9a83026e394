"""What is added up with numpy is what the product adds up, and what is drawn is what its scenario says."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.drift import UserSoFar, drift_of_users
from analytics.evidence import cap_of, capped_sums
from benchmarks.gates.scenario import Scenario

pytest.importorskip("numpy", reason="not exercised: numpy is not installed; `make clients` does it")

from benchmarks.gates.drawn.counts import drawn as draw
from benchmarks.gates.drawn.counts import generator
from benchmarks.gates.drawn.sums import caps, check_sums, drift, uncapped

SEED = 11


@pytest.fixture(scope="module")
def small() -> Any:
    """Return one small run, and what it was drawn from."""
    scenario = Scenario(users=300, share=0.3, rate=0.1, icc=0.2)
    return scenario, draw(generator(SEED, "small", 0), scenario)


def test_the_sums_of_a_look_are_those_of_plain_python(small: Any):
    _, counts = small
    found, plain = check_sums(counts)[-1], uncapped(counts)[-1]
    users = [(n, x) for n, x in zip(counts.n[-1].tolist(), counts.x[-1].tolist(), strict=True) if n > 0]
    split = sum(n > 0 for n in counts.n[-1, : counts.base].tolist())

    cap = cap_of([n for n, _ in users[:split]])
    assert found.cap == pytest.approx(cap)
    assert found.base.requests == sum(n for n, _ in users[:split])
    assert found.candidate.events == sum(x for _, x in users[split:])
    for sums, part, limit in (
        (found.base.x, users[:split], cap),
        (found.candidate.x, users[split:], cap),
        (plain[1], users[split:], float("inf")),
    ):
        expected = capped_sums(part, limit)
        for name in ("users", "n", "x", "xx", "xn", "nn"):
            assert getattr(sums, name) == pytest.approx(getattr(expected, name))


def test_the_drift_of_a_look_is_that_of_plain_python(small: Any):
    _, counts = small
    cap, sums, day, now = caps(counts), check_sums(counts), 4, 15
    weights = [min(1.0, cap[now] / n) if n else 1.0 for n in counts.n[now]]

    def at(midnight: int) -> float | None:
        arms = [(sums[now].base, sums[now].candidate.x.n / sums[now].base.x.n), (sums[now].candidate, 1.0)]
        return drift_of_users(
            UserSoFar(
                n_then=weight * counts.n[midnight, user],
                x_then=weight * counts.x[midnight, user],
                n=weight * counts.n[now, user],
                x=weight * counts.x[now, user],
                rate=arms[user >= counts.base][0].x.ratio,
                weight=arms[user >= counts.base][1],
            )
            for user, weight in enumerate(weights)
        )

    expected = min(rho for rho in (at(3), at(7), at(11)) if rho is not None)
    assert drift(counts, cap, day)[now] == pytest.approx(expected)
    assert drift(counts, cap, day)[2] is None


@pytest.mark.parametrize(
    "pattern", ["diurnal", "growth", "churn", "bursts then learning", "alternating", "hourly incidents"]
)
def test_a_pattern_changes_both_arms_alike(pattern: Any):
    counts = draw(generator(SEED, pattern, 0), Scenario(users=6000, share=0.5, pattern=pattern, rate=0.05))
    base, candidate = (
        counts.x[-1, part].sum() / counts.n[-1, part].sum()
        for part in (slice(0, counts.base), slice(counts.base, None))
    )

    assert candidate == pytest.approx(base, rel=0.15)


@pytest.mark.parametrize("harm", ["scaled", "added", "redrawn"])
def test_a_harmed_candidate_has_the_mean_that_its_scenario_says(harm: Any):
    scenario = Scenario(users=20_000, share=0.5, effect=1.5, harm=harm, tick_h=168.0, is_exact=True)
    counts = draw(generator(SEED, harm, 0), scenario)
    base, candidate = (
        counts.x[-1, part].sum() / counts.n[-1, part].sum() for part in (slice(0, 10_000), slice(10_000, None))
    )

    assert base == pytest.approx(0.02, rel=0.05)
    assert candidate == pytest.approx(0.03, rel=0.05)
