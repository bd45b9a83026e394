"""Odds that newly failing users are candidates more often than dealing them out allows: seconds after an outage. Pure.

Law: users count, not requests: ten thousand retries of one user weigh one. Exact, for arms are drawn by hash: under "no
worse than the margin" each newly failing user is a candidate with probability at most ρ0, whatever else happens; so
the Bayes factor with a uniform prior above ρ0 may be looked at after every user, and reaches B with a chance of at most
1/B (Ville; Shin, Ramdas, Rinaldo 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from analytics.evidence import FailingUsers, Kind

KIND_SHARES: dict[Kind, float] = {"failure": 0.8, "client_error": 0.2}
"""How the share of false alarms is divided between the kinds; each kind's then between its two counters."""

Window = Literal["step", "hour"]

_NEGLIGIBLE = 1e-17
"""A binomial term that is smaller, as a share of the sum, changes no digit of it."""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """One counter of failing users: since the step began, or within the present clock hour.

    `ln_odds` against "no worse", and `ln_needed` to alarm; `base` and `candidate` are users.
    """

    kind: Kind
    window: Window
    base: int
    candidate: int
    ln_odds: float
    ln_needed: float

    @property
    def is_alarming(self) -> bool:
        """Whether the odds reach what is needed."""
        return self.ln_odds >= self.ln_needed


def counters(
    failing: Iterable[FailingUsers], *, percent: float, relative: float, alpha: float, hours: float
) -> tuple[Counter, ...]:
    """Return every counter, worst first as measured by how far it is above what it needs; none at 0 and at 100 %.

    `percent` 0-100; `relative`: the margin m; `alpha`: fast kill's share of false alarms in this row; `hours`: how many
    clock hours the step may last to its second look (H = 48·D, D in days), for as many are watched.
    """
    share = percent / 100
    if not 0 < share < 1:
        return ()
    rho = allowed_share(share, relative)
    found = [counter for each in failing for counter in _of_kind(each, rho, alpha * KIND_SHARES[each.kind], hours)]
    return tuple(sorted(found, key=lambda counter: counter.ln_needed - counter.ln_odds))


def _of_kind(failing: FailingUsers, rho: float, alpha: float, hours: float) -> tuple[Counter, Counter]:
    step = Counter(
        kind=failing.kind,
        window="step",
        base=failing.base,
        candidate=failing.candidate,
        ln_odds=ln_odds(failing.candidate, failing.base, rho),
        ln_needed=math.log(2 / alpha),
    )
    hour = msgspec.structs.replace(
        step,
        window="hour",
        base=failing.hour_base,
        candidate=failing.hour_candidate,
        ln_odds=ln_odds(failing.hour_candidate, failing.hour_base, rho),
        ln_needed=math.log(2 * max(1.0, hours) / alpha),
    )
    return step, hour


def hours_watched(dwell_s: float, hour_s: float = 3600.0) -> float:
    """Return H, the number of hours of `hour_s` seconds up to a step's second look: 48·D with D in days."""
    return 2 * dwell_s / hour_s


def allowed_share(share: float, relative: float) -> float:
    """Return ρ0 (0-1): the greatest chance that a newly failing user is a candidate, if it is no worse than the margin.

    `share`: the candidate's part of all users, above 0 and below 1; `relative`: the margin m.
    """
    weight = share * (1 + relative)
    return weight / (weight + 1 - share)


def ln_odds(candidate: int, base: int, rho: float) -> float:
    """Return the logarithm of the odds that failing users are candidates more often than with a chance `rho` (0-1).

    From counts of users, up to millions. The Bayes factor is that of a uniform prior on (rho, 1) against rho:
    B(c+1, b+1)·P(Bin(c+b+1, rho) <= c) / (rho^c·(1-rho)^(b+1)). Up to the binomial's mean its tail is summed downwards
    from c, where everything else cancels and a factor 1/(b+1) remains; beyond it upwards, as the rest to 1.
    """
    number = candidate + base + 1
    if candidate <= number * rho:
        return math.log(_falling(candidate, base + 2, (1 - rho) / rho)) - math.log(base + 1)
    failing, sound = math.log(rho), math.log1p(-rho)
    beta = math.lgamma(candidate + 1) + math.lgamma(base + 1)
    ways = math.lgamma(number + 1) - math.lgamma(candidate + 2) - math.lgamma(base + 1)
    first = math.exp(ways + (candidate + 1) * failing + base * sound)
    above = first * _falling(base, candidate + 2, rho / (1 - rho))
    return beta - math.lgamma(number + 1) + math.log1p(-above) - candidate * failing - (base + 1) * sound


def _falling(down: int, up: int, odds: float) -> float:
    """Return 1 + Σ of falling terms: each is the one before times odds·down/up <= 1, `down` falling and `up` rising."""
    total = term = 1.0
    while down and term > _NEGLIGIBLE * total:
        term *= odds * down / up
        total += term
        down, up = down - 1, up + 1
    return total
