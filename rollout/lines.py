"""The line that people read of a check: what is known, what is needed, and the margin. Pure.

The law: every number carries its count, its unit and its margin; odds and distances stand there, never a bare p-value.
"""

from __future__ import annotations

from analytics.evidence import LATENCY, Check, CheckSums
from analytics.figures import Z_95
from analytics.proof import GREATEST_TARGET, PASS_Z, Proof
from analytics.sequential import safe_multiplier, tolerated
from rollout.checks import Reading, Tick
from rollout.durations import spoken
from rollout.failing import beyond_margin, distance, raw_beside
from rollout.phase import Margin
from rollout.phrases import counted, rates, scores
from rollout.proving import enough, lost_score
from rollout.slowness import bounded, so_far, unbounded
from rollout.verdict import Verdict

NOT_APPLICABLE = "ttft: not applicable. Under 20 % of base's requests are streamed; it is not asked for"

NO_PROOF = "this step asks for no proof of it"
_FEW = 5
"""From fewer users or requests nobody can tell how many will follow."""

_COUNTED: dict[Check, str] = {"satisfaction": "rating", "ttft": "streamed request"}


def line_of(reading: Reading, verdict: Verdict, tick: Tick) -> str:
    """Return a check's line for its verdict."""
    check = reading.check
    if verdict == "fail":
        return f"{check}: fail. {beyond_margin(reading)}; {distance(reading)}"
    if tick.look and not reading.is_comparable:
        return f"{check}: inconclusive. {_incomparable(tick)}"
    if not reading.has_minima:
        return unread_line(check, reading.sums, reading.margin, verdict, tick)
    if reading.proof is None:
        return f"{check}: {verdict}. {_unprovable(reading)}"
    return f"{_known(reading, reading.proof, verdict, tick)}{_deafness(reading)}"


def unread_line(check: Check, sums: CheckSums | None, margin: Margin, verdict: Verdict, tick: Tick) -> str:
    """Return the line of a check that has not enough to be judged by."""
    users = sums.candidate.x.users if sums is not None else 0
    seen = sums.candidate.requests if sums is not None else 0
    one = _COUNTED.get(check, "request")
    is_late = verdict == "inconclusive"
    head = f"{check}: inconclusive after {spoken(tick.running_s)}" if is_late else f"{check}: {verdict}"
    if not tick.is_proof:
        return f"{head}. {counted(seen, one)} of {counted(users, 'user')} so far; {NO_PROOF}"
    if seen < margin.min_requests:
        words = f"{seen:,} of {margin.min_requests:,} {one}s needed, {users:,} of {margin.min_users:,} users"
    elif users < margin.min_users:
        verb = "comes" if seen == 1 else "come"
        words = f"{counted(seen, one)} {verb} from {counted(users, 'user')}; {margin.min_users:,} users needed"
    else:
        base = counted(sums.base.x.users if sums is not None else 0, "user")
        words = f"{counted(seen, one)} of {counted(users, 'user')}, but base has {base} to compare with; 2 needed"
    left_s = None if is_late else _left_s(tick.running_s, (users, margin.min_users), (seen, margin.min_requests))
    return f"{head}. {words}" if left_s is None else f"{head}. {words}; expected in {spoken(left_s)}"


def held_line(check: str) -> str:
    """Return the line of a check while the gate is held."""
    return f"{check}: hold. Nothing is concluded while the gate is held"


def _left_s(running_s: float, *each: tuple[int, int]) -> float | None:
    """Return in how many seconds of running time enough is seen, if it goes on as so far; None: nobody can tell."""
    if running_s <= 0 or min(seen for seen, _ in each) < _FEW:
        return None
    left_s = max(running_s * (needed / seen - 1) for seen, needed in each)
    return left_s if left_s > 0 else None


def _incomparable(tick: Tick) -> str:
    again = "" if tick.next_look_s is None else f"; looked at again in {spoken(tick.next_look_s)}"
    return f"One arm's users give feedback more often than the other's, so ratings cannot be compared{again}"


def _unprovable(reading: Reading) -> str:
    margin = reading.margin
    target = tolerated(reading.found.base, relative=margin.relative, absolute=margin.absolute)
    most, limit = rates(target, GREATEST_TARGET)
    return f"The margin allows {most}, and nothing above {limit} can be proven; lower it for the next step"


def _known(reading: Reading, proof: Proof, verdict: Verdict, tick: Tick) -> str:
    check = reading.check
    if verdict == "pass":
        head = f"{check}: pass" if tick.look else f"{check}: passed at the last look"
        return f"{head}. {_bounded(reading, proof)}"
    if verdict == "inconclusive":
        return f"{check}: inconclusive after {spoken(tick.running_s)}. {_unproven(reading, proof)}"
    following = f"Next look in {spoken(tick.next_look_s)}" if tick.next_look_s is not None else "Watched without end"
    return f"{_so_far(reading, proof, tick)}. {following}"


def _bounded(reading: Reading, proof: Proof) -> str:
    """Return what a look has proven: the bound, and the margin that it keeps within."""
    margin = reading.margin
    if reading.check in LATENCY:
        return f"{bounded(reading, PASS_Z)} (97.5 % bound), margin {margin.ratio:.2f}"
    if reading.check == "satisfaction":
        return lost_score(proof)
    most = proof.candidate + PASS_Z * proof.error
    candidate, base, bound, target = rates(proof.candidate, proof.base, most, proof.target)
    beside = raw_beside(reading)
    return f"Candidate {candidate}, base {base}{beside}; at most {bound} (97.5 % bound), margin {target}"


def _unproven(reading: Reading, proof: Proof) -> str:
    """Return what the last look did not prove, and with how many requests it might have."""
    needed = enough(reading, proof)
    wanted = f" of about {needed:,} needed" if needed is not None else ""
    seen = counted(reading.sums.candidate.requests, _COUNTED.get(reading.check, "request"))
    if reading.check == "satisfaction":
        return f"{lost_score(proof)}; {seen}{wanted}"
    if reading.check in LATENCY:
        return f"{unbounded(reading, PASS_Z)}, margin {reading.margin.ratio:.2f}; {seen}{wanted}"
    most = proof.candidate + PASS_Z * proof.error
    candidate, base, bound, target = rates(proof.candidate, proof.base, most, proof.target)
    return f"Candidate {candidate}, base {base}, at most {bound}, margin {target}; {seen}{wanted}"


def _so_far(reading: Reading, proof: Proof, tick: Tick) -> str:
    """Return a check's line between looks, with an interval that is safe to read at any time."""
    check, margin, found = reading.check, reading.margin, reading.found
    if check in LATENCY:
        return f"{so_far(reading, _multiplier(reading, tick))}, margin {margin.ratio:.2f}"
    half = _half(reading, proof, tick)
    if check == "satisfaction":
        lost = found.difference
        value, low, high, least = scores(-lost, -lost - half, -lost + half, proof.base - proof.target)
        interval = f" (95 % interval {low} to {high})" if half else ""
        return f"satisfaction {value} against base{interval}, margin {least}"
    low_rate, high_rate = max(0.0, found.candidate - half), min(1.0, found.candidate + half)
    candidate, base, low, high, target = rates(found.candidate, found.base, low_rate, high_rate, proof.target)
    interval = f" (95 % interval {low.removesuffix(' %')}\u2013{high})" if half else ""
    return f"{check} {candidate}{interval}, base {base}{raw_beside(reading)}, margin {target}"


def _half(reading: Reading, proof: Proof, tick: Tick) -> float:
    """Return half the interval's width; 0 where there is none yet."""
    return (_multiplier(reading, tick) or 0.0) * (proof.error if tick.look else reading.found.error)


def _multiplier(reading: Reading, tick: Tick) -> float | None:
    """Return by what to multiply a standard error: at a look its own, between looks one that is safe at any time."""
    if tick.look:
        return Z_95
    return None if reading.optimum is None else safe_multiplier(reading.found.clock, reading.optimum)


def _deafness(reading: Reading) -> str:
    if not reading.is_deaf:
        return ""
    return (
        ". It can fail at looks alone: what users add pulls against what they had, so watching in between is not safe"
    )
