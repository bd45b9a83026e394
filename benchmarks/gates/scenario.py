"""What a crowd of made-up users does, and what the candidate does to them: the numbers that a drawn run follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pattern = Literal[
    "stationary",
    "diurnal",
    "growth",
    "churn",
    "bursts then learning",
    "alternating",
    "hourly incidents",
    "second half x7",
]
"""How traffic and errors change in time, for both arms alike: none of them makes the candidate worse than base."""

Harm = Literal["scaled", "added", "redrawn"]
"""How a candidate is worse: each user's rate multiplied, raised by one chance, or drawn anew about another mean."""

DAY_H = 24.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Traffic of one metric that is counted (errors, dissatisfied raters). Hours, shares and rates (0-1).

    `requests` of a user in 6 hours: their mean over users, who differ by a lognormal of standard deviation `skew`.
    `rate`: base's mean over users; `icc`: the share of the errors' variance between users (Beta propensities).
    `effect`: the candidate's mean over base's. `present`: the share of users who are there from the start. `is_exact`:
    the candidate has exactly its share of the users.
    """

    users: int = 4000
    share: float = 0.1
    rate: float = 0.02
    icc: float = 0.01
    effect: float = 1.0
    harm: Harm = "scaled"
    pattern: Pattern = "stationary"
    dwell_h: float = 168.0
    horizon_h: float = 168.0
    tick_h: float = 6.0
    requests: float = 2.1
    skew: float = 1.2
    present: float = 0.5
    is_exact: bool = False

    @property
    def ticks(self) -> int:
        """How many ticks there are, the last one at the end."""
        return round(self.horizon_h / self.tick_h)

    @property
    def name(self) -> str:
        """What tells this scenario from others of its table."""
        harm = "A/A" if self.effect == 1.0 else f"x{self.effect:.4g} {self.harm}"
        return f"{harm}, ICC {self.icc:g}, {self.pattern}, {self.share * 100:g} % of {self.users:,}, rate {self.rate:g}"
