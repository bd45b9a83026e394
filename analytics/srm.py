"""Did the hash deal users out as it should? Pure. Users are the draws, each counted once, however much they ask.

Two questions: whether the arms have their shares of users (sample ratio mismatch, SRM), and whether users lie evenly
over the buckets. A table whose users were dealt out wrongly compares two crowds; nothing is concluded from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

CONCENTRATION = 1000.0
"""How close to the due shares other shares are thought to lie (the Dirichlet prior's sum): 5 % means 3.6 to 6.4 %."""

ALARM_ODDS = 1000.0
"""At such odds the split is believed to be wrong; by chance alone they are ever reached in one case of a thousand."""

ALARM_CHANCE = 0.001
"""So uneven by chance in less than one case of a thousand: then the buckets are believed to be uneven."""

LEAST_EXPECTED = 5
"""With fewer users due in a bin the chi-square distribution is no good approximation (Cochran 1954)."""


class SampleRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Users that an arm got, and those due: `expected_share` (0-1) of all of `users`.

    `log_odds`: natural logarithm of the odds that the split is another than the due one; None where one arm is due
    everybody. `is_alarming`: they reach `ALARM_ODDS`, or an arm that is due nobody has users.
    """

    users: int
    candidates: int
    expected_share: float
    share: float | None
    log_odds: float | None
    is_alarming: bool


class Evenness(msgspec.Struct, frozen=True, kw_only=True):
    """How evenly users lie over `bins` equal bins.

    `chi_square`: Σ(o - e)² / e with `bins` - 1 degrees of freedom; `chance` (0-1): how often an even draw is as uneven
    or more. Both are None with fewer than `LEAST_EXPECTED` users due in a bin: `least_users` are needed.
    """

    users: int
    bins: int
    least_users: int
    fewest: int
    most: int
    chi_square: float | None
    chance: float | None
    is_alarming: bool


def sample_ratio(base: int, candidates: int, percent: float) -> SampleRatio:
    """Return how well an arm's users (counts) fit the flag's percentage, 0-100."""
    due, users = percent / 100, base + candidates
    share = candidates / users if users else None
    if not 0 < due < 1:
        is_alarming = (candidates if due <= 0 else base) > 0
        odds = None
    else:
        odds = log_odds((candidates, base), (due, 1 - due))
        is_alarming = odds >= math.log(ALARM_ODDS)
    return SampleRatio(
        users=users, candidates=candidates, expected_share=due, share=share, log_odds=odds, is_alarming=is_alarming
    )


def log_odds(counts: Sequence[int], shares: Sequence[float], concentration: float = CONCENTRATION) -> float:
    """Return the natural logarithm of the odds against the due `shares` (each above 0, their sum 1), given the counts.

    A Bayes factor of a Dirichlet prior around the shares; it may be looked at after every user (Lindon, Malek 2020,
    arXiv 2011.03567).
    """
    total = math.lgamma(concentration) - math.lgamma(concentration + sum(counts))
    return total + math.fsum(
        math.lgamma(concentration * share + count) - math.lgamma(concentration * share) - count * math.log(share)
        for count, share in zip(counts, shares, strict=True)
    )


def evenness(counts: Sequence[int]) -> Evenness:
    """Return how evenly users lie over bins, each of which is due the same number; at least two bins."""
    users, bins = sum(counts), len(counts)
    least = LEAST_EXPECTED * bins
    square = chance = None
    if users >= least:
        due = users / bins
        square = math.fsum((count - due) ** 2 for count in counts) / due
        chance = chi_square_tail(square, bins - 1)
    return Evenness(
        users=users,
        bins=bins,
        least_users=least,
        fewest=min(counts),
        most=max(counts),
        chi_square=square,
        chance=chance,
        is_alarming=chance is not None and chance < ALARM_CHANCE,
    )


def chi_square_tail(square: float, freedom: int) -> float:
    """Return the probability (0-1) of at least `square` >= 0 with so many degrees of freedom, a whole number above 0.

    The regularised incomplete gamma function Q(freedom / 2, square / 2), which for whole numbers is a finite sum of
    positive terms (Abramowitz, Stegun 26.4.4 and 26.4.5).
    """
    half = square / 2
    if not half:
        return 1.0
    start = 0.5 if freedom % 2 else 0.0
    terms = (math.exp((start + k) * math.log(half) - half - math.lgamma(start + k + 1)) for k in range(freedom // 2))
    return min(1.0, (math.erfc(math.sqrt(half)) if freedom % 2 else 0.0) + math.fsum(terms))
