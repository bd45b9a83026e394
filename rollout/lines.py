"""The line that people read of a check: what is known, what is needed, and the margin. Pure.

The law: every number carries its count, its unit and its margin; odds and distances stand there, never a bare p-value.
"""

from __future__ import annotations

import math

from analytics.evidence import LATENCY, Check
from analytics.figures import Z_95
from analytics.proof import GREATEST_TARGET, PASS_Z
from analytics.sequential import ln_threshold, look_threshold, may_fail, safe_multiplier, tolerated
from rollout.checks import Reading, Tick
from rollout.durations import spoken
from rollout.numbers import ln_odds
from rollout.phase import Margin
from rollout.phrases import counted, needed_odds, odds, rates, ratio, scores
from rollout.verdict import Verdict

NOT_APPLICABLE = "ttft: not applicable. Under 20 % of base's requests are streamed; it is not asked for"
POWER_Z = 2.802
"""1.960 and 0.842 standard errors: a look that an equal candidate passes in four cases of five."""

_RATINGS: dict[Check, str] = {"satisfaction": "rating", "ttft": "streamed request"}


def line_of(check: Check, reading: Reading | None, margin: Margin, verdict: Verdict, tick: Tick) -> str:
    """Return a check's line for its verdict; `reading` None: nothing is known of it yet."""
    if reading is None or reading.found is None:
        return _unseen(check, reading, margin, verdict, tick)
    if verdict == "fail":
        return f"{check}: fail. {_failed(reading)}"
    if not reading.is_comparable and tick.look:
        return f"{check}: inconclusive. {_incomparable(tick)}"
    if not reading.has_minima:
        return _unseen(check, reading, margin, verdict, tick)
    if reading.proof is None:
        return _unprovable(reading, verdict)
    if verdict == "pass":
        return _passed(reading, tick) + _deafness(reading)
    if verdict == "inconclusive":
        return f"{check}: inconclusive after {spoken(tick.running_s)}. {_unproven(reading)}" + _deafness(reading)
    return _between(reading, tick) + _deafness(reading)


def held_line(check: Check) -> str:
    """Return the line of a check while the gate is held."""
    return f"{check}: hold. Nothing is concluded while the gate is held"


def _noun(check: Check) -> str:
    return _RATINGS.get(check, "request")


def _unseen(check: Check, reading: Reading | None, margin: Margin, verdict: Verdict, tick: Tick) -> str:
    people = reading.sums.candidate.x.users if reading is not None else 0
    seen = reading.sums.candidate.requests if reading is not None else 0
    head = f"{check}: collecting" if verdict == "collecting" else f"{check}: inconclusive after {spoken(tick.running_s)}"
    if seen >= margin.min_requests and people < margin.min_users:
        verb = "comes" if seen == 1 else "come"
        words = f"{counted(seen, _noun(check))} {verb} from {counted(people, 'user')}"
        words = f"{head}. {words}; {margin.min_users:,} users needed"
    elif people >= margin.min_users and seen >= margin.min_requests:
        words = f"{head}. Base has too few users to compare with: {_base_users(reading)}"
    else:
        words = (
            f"{head}. {seen:,} of {margin.min_requests:,} {_noun(check)}s needed, {people:,} of {margin.min_users:,} users"
        )
    left_s = _expected_s(tick.running_s, (people, margin.min_users), (seen, margin.min_requests))
    return f"{words}; expected in {spoken(left_s)}" if left_s is not None and verdict == "collecting" else words


def _base_users(reading: Reading | None) -> str:
    return counted(reading.sums.base.x.users if reading is not None else 0, "user")


def _expected_s(running_s: float, *each: tuple[int, int]) -> float | None:
    """Return in how many seconds of running time enough is seen, if it comes on as so far; None where nobody can tell."""
    if running_s <= 0 or any(not seen for seen, _ in each):
        return None
    left = max(running_s * (needed / seen - 1) for seen, needed in each)
    return left if left > 0 else None


def _failed(reading: Reading) -> str:
    return f"{_compared(reading)}; {_distance(reading)}"


def _compared(reading: Reading) -> str:
    found, margin = reading.found, reading.margin
    assert found is not None  # noqa: S101 - a line is written of what was read
    if reading.check in LATENCY:
        beyond = reading.sums.candidate.y
        over = (beyond.ratio if beyond is not None else found.candidate) or 0.0
        slow, due = rates(over, found.base)
        said = f"Ratio {ratio(reading.ratio[0])}, margin {margin.ratio:.2f}: " if reading.ratio is not None else ""
        sentence = f"{slow} of candidate's requests take over {margin.ratio:.2f} times base's {reading.check}"
        return f"{said}{sentence}, {due} tolerated" if reading.check != "ttft" else f"{said}{_first(slow, due, margin)}"
    target = tolerated(found.base, relative=margin.relative, absolute=margin.absolute)
    if reading.check == "satisfaction":
        candidate, base, most = scores(-found.candidate + 1, -found.base + 1, 1 - target)
        return f"Candidate's score {candidate[1:]}, base's {base[1:]}, at least {most[1:]} within the margin"
    candidate, base, most = rates(found.candidate, found.base, target)
    return f"Candidate {candidate}, base {base}, margin {most}{_raw(reading)}"


def _first(slow: str, due: str, margin: Margin) -> str:
    return f"{slow} of candidate's streams begin later than {margin.ratio:.2f} times base's median, {due} tolerated"


def _raw(reading: Reading) -> str:
    """Return the raw rates beside the weighted ones, where the cap makes them look different."""
    base, candidate = reading.sums.base, reading.sums.candidate
    found = reading.found
    if found is None or not base.requests or not candidate.requests:
        return ""
    raw = candidate.events / candidate.requests, base.events / base.requests
    if rates(*raw) == rates(found.candidate, found.base):
        return ""
    ours, theirs = rates(*raw)
    return f" (weighted by user; raw {ours} and {theirs})"


def _distance(reading: Reading) -> str:
    alpha = reading.margin.alpha
    reached = None if reading.is_deaf else ln_odds(reading)
    if reached is not None and reached >= ln_threshold(alpha):
        return f'odds {odds(reached)} against "no worse", {needed_odds(ln_threshold(alpha))} needed'
    z = reading.found.z if reading.found is not None else 0.0
    return f"{z:.2f} standard errors worse at a scheduled look, {look_threshold(alpha):.2f} needed"


def _incomparable(tick: Tick) -> str:
    after = "" if tick.is_over else f"; looked at again in {spoken(tick.next_look_s or 0.0)}"
    return f"One arm's users give feedback more often than the other's, so ratings cannot be compared{after}"


def _unprovable(reading: Reading, verdict: Verdict) -> str:
    target = reading.found.base if reading.found is not None else 0.0
    margin = reading.margin
    most = rates(tolerated(target, relative=margin.relative, absolute=margin.absolute), GREATEST_TARGET)[0]
    return f"{reading.check}: {verdict}. The margin allows {most}, which proves nothing; lower it for the next step"


def _passed(reading: Reading, tick: Tick) -> str:
    found = reading.proof
    assert found is not None  # noqa: S101 - only what is proven passes
    head = f"{reading.check}: pass" if tick.look else f"{reading.check}: passed at the last look"
    if reading.check in LATENCY:
        return f"{head}. {_latency_bound(reading)}"
    if reading.check == "satisfaction":
        return f"{head}. {_loss(reading, PASS_Z * found.error)}"
    candidate, base, bound, target = rates(
        found.candidate, found.base, found.candidate + PASS_Z * found.error, found.target
    )
    return f"{head}. Candidate {candidate}, base {base}; at most {bound} (97.5 % bound), margin {target}{_raw(reading)}"


def _latency_bound(reading: Reading) -> str:
    margin = f"margin {reading.margin.ratio:.2f}"
    if reading.ratio is not None:
        value, _, high = reading.ratio
        return f"Ratio {ratio(value)}, at most {ratio(high)} (97.5 % bound), {margin}"
    return f"Ratio below {reading.margin.ratio:.2f} (97.5 % bound), {margin}; {_slower(reading)}"


def _slower(reading: Reading) -> str:
    found = reading.found
    assert found is not None  # noqa: S101 - as above
    candidate, base = rates(found.candidate, found.base)
    return f"{candidate} of candidate's requests and {base} of base's are slower than base's {reading.check}"


def _loss(reading: Reading, half: float) -> str:
    """Return the difference of scores, with its worst case and the margin."""
    found = reading.proof
    assert found is not None  # noqa: S101 - as above
    lost = found.candidate - found.base
    difference, worst, margin = scores(-lost, -lost - half, found.base - found.target)
    ratings = counted(reading.sums.candidate.requests, "rating")
    return f"{difference}, at worst {worst}, margin {margin}; {ratings}"


def _unproven(reading: Reading) -> str:
    found = reading.proof
    assert found is not None  # noqa: S101 - as above
    half = PASS_Z * found.error
    enough = _enough(reading)
    wanted = f" of about {enough:,} needed" if enough is not None else ""
    if reading.check == "satisfaction":
        return f"{_loss(reading, half)}{wanted}"
    seen = counted(reading.sums.candidate.requests, _noun(reading.check))
    if reading.check in LATENCY:
        high = f", at most {ratio(reading.ratio[2])}" if reading.ratio is not None else ""
        value = f"Ratio {ratio(reading.ratio[0])}{high}" if reading.ratio is not None else _slower(reading)
        return f"{value}, margin {reading.margin.ratio:.2f}; {seen}{wanted}"
    candidate, base, bound, target = rates(found.candidate, found.base, found.candidate + half, found.target)
    return f"Candidate {candidate}, base {base}, at most {bound}, margin {target}; {seen}{wanted}"


def _enough(reading: Reading) -> int | None:
    """Return with how many requests an equal candidate would pass in four cases of five; None where none are enough."""
    found = reading.proof
    assert found is not None  # noqa: S101 - as above
    beyond = reading.sums.candidate.y
    room = found.target - found.base if beyond is None else found.base - (beyond.ratio or 0.0)
    if room <= 0:
        return None
    enough = reading.sums.candidate.requests * (POWER_Z * found.expected_error / room) ** 2
    if not math.isfinite(enough) or enough > 1e12 or enough <= reading.sums.candidate.requests:
        return None
    digits = 10 ** max(0, int(math.log10(enough)) - 2)
    return math.ceil(enough / digits) * digits


def _between(reading: Reading, tick: Tick) -> str:
    left_s = tick.next_look_s
    following = f"Next look in {spoken(left_s)}" if left_s is not None else "Watched without end"
    found, margin = reading.found, reading.margin
    assert found is not None  # noqa: S101 - as above
    if reading.check in LATENCY:
        if reading.ratio is None:
            return f"{reading.check}: {_slower(reading)}, margin {margin.ratio:.2f} times. {following}"
        value, low, high = map(ratio, reading.ratio)
        return f"{reading.check} ratio {value} (95 % interval {low}–{high}), margin {margin.ratio:.2f}. {following}"  # noqa: RUF001 - an interval's dash
    half = _half(reading, tick)
    target = tolerated(found.base, relative=margin.relative, absolute=margin.absolute)
    if reading.check == "satisfaction":
        value, low, high, least = scores(
            -found.difference, -found.difference - half, -found.difference + half, found.base - target
        )
        interval = f" (95 % interval {low} to {high})" if half else ""
        return f"satisfaction {value} against base{interval}, margin {least}. {following}"
    candidate, base, low, high, most = rates(
        found.candidate, found.base, max(0.0, found.candidate - half), found.candidate + half, target
    )
    interval = f" (95 % interval {low}–{high})" if half else ""  # noqa: RUF001 - as above
    return f"{reading.check} {candidate}{interval}, base {base}, margin {most}. {following}"


def _half(reading: Reading, tick: Tick) -> float:
    """Return half the interval's width: a look's own at a look, between looks one that is safe to read at any time."""
    found = reading.found
    assert found is not None  # noqa: S101 - as above
    if tick.look and reading.proof is not None:
        return Z_95 * reading.proof.error
    if reading.optimum is None or not may_fail(reading.sums):
        return 0.0
    return (safe_multiplier(found.clock, reading.optimum) or 0.0) * found.error


def _deafness(reading: Reading) -> str:
    if not reading.is_deaf:
        return ""
    return ". Between looks it fails no more: users who had much trouble before have less now, or the other way round"
