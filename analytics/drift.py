"""Do users' past and later badness pull against each other? Then watching at every tick is not safe. Pure.

Watching rests on one assumption: what users add to the excess of events never correlates negatively with what they
had added before; Slepian's inequality then bounds how often the excess crosses a boundary by how often Brownian motion
does.
Law: a monitor only makes a check deaf to its running evidence; it makes none pass and none fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

TOLERATED = 0.1
"""A correlation of up to -0.1 is taken for chance, however many users."""

_STANDARD_ERRORS = 3.0


class UserSoFar(msgspec.Struct, frozen=True, kw_only=True):
    """One user's capped requests and events up to a past midnight (`n_then`, `x_then`) and now; `weight` is g.

    g is 1 for a candidate user and ΣN_c / ΣN_b for one of base; `rate` is R of the user's arm now.
    """

    n_then: float
    x_then: float
    n: float
    x: float
    rate: float
    weight: float = 1.0


def drift_of_users(users: Iterable[UserSoFar]) -> float | None:
    """Return ρ of one midnight from the users of both arms: `drift` of ψ = g·(S - R·N)."""
    before = since = product = 0.0
    for user in users:
        then = user.weight * (user.x_then - user.rate * user.n_then)
        later = user.weight * (user.x - user.rate * user.n) - then
        before, since, product = before + then * then, since + later * later, product + then * later
    return drift(before=before, since=since, product=product)


def drift(*, before: float, since: float, product: float) -> float | None:
    """Return ρ (-1 to 1) of one midnight s, None where nothing varied before it or since.

    `before`: Σψ(s)², `since`: Σ(ψ(now) - ψ(s))², `product`: Σψ(s)·(ψ(now) - ψ(s)), over the users of both arms.
    """
    scale = math.sqrt(max(0.0, before)) * math.sqrt(max(0.0, since))
    return min(1.0, max(-1.0, product / scale)) if scale else None


def drift_alarm(users: int) -> float:
    """Return the ρ below which the monitor alarms, given the candidate's users: three standard errors, at least 0.1."""
    return -max(TOLERATED, _STANDARD_ERRORS / math.sqrt(users)) if users else -math.inf


def is_drifting(correlation: float | None, users: int) -> bool:
    """Tell whether a ρ alarms; one that is unknown does not."""
    return correlation is not None and correlation < drift_alarm(users)
