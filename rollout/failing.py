"""How far a candidate is beyond what is tolerated, in words. Pure."""

from __future__ import annotations

from analytics.evidence import LATENCY
from analytics.quantile import ratio_words
from analytics.sequential import against_margin, ln_threshold, look_threshold, tolerated
from rollout.checks import Reading
from rollout.numbers import ln_odds
from rollout.phrases import levels, needed_odds, odds, rates


def beyond_margin(reading: Reading) -> str:
    """Return candidate, base and margin of a check that fails."""
    found, margin = reading.found, reading.margin
    target = tolerated(found.base, relative=margin.relative, absolute=margin.absolute)
    if reading.check in LATENCY:
        slow, due = rates(against_margin(reading.sums).ratio or 0.0, found.base)
        known = (
            f"Ratio {ratio_words(reading.ratio[0])}, margin {margin.ratio:.2f}: " if reading.ratio is not None else ""
        )
        limit = f"{margin.ratio:.2f} times base's {reading.check}"
        return f"{known}{slow} of candidate's requests exceed {limit}, {due} tolerated"
    if reading.check == "satisfaction":
        candidate, base, least = levels(1 - found.candidate, 1 - found.base, 1 - target)
        return f"Candidate's score {candidate}, base's {base}, at least {least} within the margin"
    candidate, base, most = rates(found.candidate, found.base, target)
    return f"Candidate {candidate}, base {base}, margin {most}{raw_beside(reading)}"


def raw_beside(reading: Reading) -> str:
    """Return the raw rates of a check where the cap makes the weighted ones look different."""
    base, candidate, found = reading.sums.base, reading.sums.candidate, reading.found
    raw = rates(candidate.events / candidate.requests, base.events / base.requests)
    if raw == rates(found.candidate, found.base):
        return ""
    return f" (weighted by user; raw {raw[0]} and {raw[1]})"


def distance(reading: Reading) -> str:
    """Return by what a check fails: the odds of watching, or the distance at a scheduled look."""
    alpha = reading.margin.alpha
    reached = None if reading.is_deaf else ln_odds(reading)
    if reached is not None and reached >= ln_threshold(alpha):
        return f'odds {odds(reached)} against "no worse", {needed_odds(ln_threshold(alpha))} needed'
    return f"{reading.found.z:.2f} standard errors worse at a look, {look_threshold(alpha):.2f} needed"
