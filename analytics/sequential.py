"""Evidence that a candidate is worse than base, to be looked at as often as one likes. Pure.

Owns the tests behind a check's FAIL: the running evidence E with its optimum, the scheduled looks' quantile, the
minima, and the interval that is safe between looks. Law: of a check's share α of false alarms half pays for watching at
every tick, a quarter for each of the two looks (a union bound); and a difference that the margin tolerates never fails,
so that FAIL and PASS exclude each other.

Sources: the one-sided normal mixture of Howard, Ramdas, McAuliffe, Sekhon 2021 (arXiv 1810.08240), whose optimum κ is
that of the repository confseq; users as the unit: Deng, Knoblich, Lu 2018.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import msgspec

from analytics.evidence import CheckSums
from analytics.figures import ClusterSums

MIN_USERS = 30
"""Users of an arm without whom nothing fails: the variance between users is too uncertain."""

MIN_EVENTS = 25
"""Events of both arms together without which nothing fails, and of base without which its variance is not trusted."""

SAFE_CHANCE = 0.05
"""How often, ever, an interval that is safe at any time may miss the true difference."""

_LEAST = -30.0
"""Below so many standard deviations E is called 0, for its normal tail is no more than a rounding error."""

_NORMAL = NormalDist()


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """Candidate against base: their rates of x (0-1), the `difference` candidate - base and its standard `error`.

    `z` is difference / error, 0 where neither varies nor differs. `clock` is V = error²·(ΣN_c)², the time by which
    evidence grows: the variance of the candidate's excess of events.
    """

    base: float
    candidate: float
    difference: float
    error: float
    z: float
    clock: float


def contrast(sums: CheckSums) -> Contrast | None:
    """Return how the arms compare, None while an arm has fewer than two users or no request."""
    base, candidate = sums.base.x, sums.candidate.x
    r_b, r_c, v_b, v_c = base.ratio, candidate.ratio, base.variance, candidate.variance
    if r_b is None or r_c is None or v_b is None or v_c is None:
        return None
    difference, variance = r_c - r_b, v_c + _of_base(sums, v_c, v_b)
    if not variance and difference:
        variance = _of_two_constants(base, candidate)
    error = math.sqrt(variance)
    return Contrast(
        base=r_b,
        candidate=r_c,
        difference=difference,
        error=error,
        z=difference / error if error else 0.0,
        clock=candidate.n * candidate.n * variance,
    )


def _of_base(sums: CheckSums, v_c: float, v_b: float) -> float:
    """Return v_b, or what it would be if base's users were like the candidate's, where these are more and tell more.

    A small holdback without an event shows no variance at all; that is no proof that its rate is 0.
    """
    base, candidate = sums.base.x, sums.candidate.x
    if base.users >= candidate.users or sums.base.events >= MIN_EVENTS:
        return v_b
    means = (candidate.n / candidate.users) / (base.n / base.users)
    return max(v_b, v_c * (candidate.users / base.users) * means * means)


def _of_two_constants(base: ClusterSums, candidate: ClusterSums) -> float:
    """Return the variance of a difference between arms whose users are all alike: pooled, each user as one draw."""
    pooled = (base.x + candidate.x) / (base.n + candidate.n)
    return max(0.0, pooled * (1 - pooled)) * (1 / base.users + 1 / candidate.users)


def may_fail(sums: CheckSums) -> bool:
    """Tell whether the minima of FAIL are met, in raw counts."""
    users = min(sums.base.x.users, sums.candidate.x.users)
    return users >= MIN_USERS and sums.base.events + sums.candidate.events >= MIN_EVENTS


def kappa(level: float) -> float:
    """Return κ(a), at which V / ρ makes the boundary of the one-sided mixture narrowest, for a `level` a in (0, 0.5).

    The approximation that confseq inverts with Lambert's W; no guarantee hangs on it, only how soon evidence shows.
    """
    if not 0 < level < 0.5:
        message = f"level is {level}: choose one between 0 and 0.5"
        raise ValueError(message)
    double = 2 * math.log(1 / (2 * level))
    return double + math.log1p(double)


def optimum(clock: float, *, dwell_s: float, running_s: float, hour_s: float = 3600.0) -> float | None:
    """Return V_opt, the clock that is foreseen at the end of the dwell: where E is to be most sensitive.

    To be frozen at the first tick that meets the minima of FAIL. None while nothing varies: then a later tick decides.
    """
    return clock * dwell_s / max(running_s, hour_s) if clock > 0 else None


def ln_evidence(z: float, clock: float, optimum: float, level: float) -> float:
    """Return ln E: the logarithm of the odds against "no worse", most sensitive at the clock `optimum` and a `level` a.

    Without a difference exp(ln E) reaches 1/a at any time with a chance of at most a. -inf is E = 0; 0 (E = 1) where
    nothing varies yet. Increases with `z`.
    """
    if clock <= 0 or optimum <= 0:
        return 0.0
    beyond = clock * (kappa(level) / optimum)
    if math.isinf(beyond):
        return -math.inf
    reach = math.sqrt(beyond / (1 + beyond)) * z
    if reach < _LEAST:
        return -math.inf
    tail = math.log(math.erfc(-reach / math.sqrt(2)) / 2)
    return math.log(2) - math.log1p(beyond) / 2 + reach * reach / 2 + tail


def ln_threshold(alpha: float) -> float:
    """Return the ln E at which watching alarms: ln(2/α), for half of α pays for it."""
    return math.log(2 / alpha)


def look_threshold(alpha: float) -> float:
    """Return the Z at which one of the two scheduled looks alarms: z(1 - α/4)."""
    return -_NORMAL.inv_cdf(alpha / 4)


def is_worse(found: Contrast, *, alpha: float, optimum: float | None, is_look: bool) -> bool:
    """Tell whether the candidate is proven worse, tolerated or not, at this tick.

    `optimum`: the frozen V_opt; None where E is not to be heard (not frozen yet, or the drift monitor alarmed).
    `is_look`: this is a scheduled look.
    """
    if is_look and found.z >= look_threshold(alpha):
        return True
    return optimum is not None and ln_evidence(found.z, found.clock, optimum, alpha / 2) >= ln_threshold(alpha)


def tolerated(base: float, *, relative: float = 0.0, absolute: float = 0.0) -> float:
    """Return R* = (1 + m)·R_b + δ: the rate (0-1) from which on a candidate is too bad. For latency R* = R_b."""
    return (1 + relative) * base + absolute


def against_margin(sums: CheckSums) -> ClusterSums:
    """Return the candidate's sums that are compared with R*: those of y for latency, else those of x."""
    return sums.candidate.x if sums.candidate.y is None else sums.candidate.y


def is_failed(
    sums: CheckSums,
    *,
    alpha: float,
    relative: float = 0.0,
    absolute: float = 0.0,
    optimum: float | None,
    is_look: bool,
) -> bool:
    """Tell whether the check fails at this tick: minima met, proven worse, and beyond what the margin tolerates."""
    found, rate = contrast(sums), against_margin(sums).ratio
    if found is None or rate is None or not may_fail(sums):
        return False
    is_beyond = rate > tolerated(found.base, relative=relative, absolute=absolute)
    return is_beyond and is_worse(found, alpha=alpha, optimum=optimum, is_look=is_look)


def safe_multiplier(clock: float, optimum: float) -> float | None:
    """Return by what to multiply the standard error for an interval of the difference that is safe to read at any time.

    It holds the true difference at all ticks at once in 95 of 100 steps: the two-sided normal mixture of Howard et al.,
    narrowest at the clock `optimum`. None where nothing varies, or nothing did when the optimum was frozen.
    """
    if clock <= 0 or optimum <= 0:
        return None
    beyond = clock * (kappa(SAFE_CHANCE / 2) / optimum)
    if not 0 < beyond < math.inf:
        return None
    return math.sqrt((1 + 1 / beyond) * (math.log1p(beyond) + 2 * math.log(1 / SAFE_CHANCE)))
