"""Data quality: when nothing may be concluded of a step, and why. Pure.

The law: what says that the wrong users are compared, or that records are gone, stays true of the step whatever comes
later; only a person who restarts it clears that. What says that records are late clears itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from analytics.evidence import Quality
from analytics.srm import sample_ratio
from rollout.durations import spoken
from rollout.phase import FrozenStep, Pace, pace
from rollout.phrases import counted, odds, rates

Condition = Literal["sample_ratio", "crossed", "lost", "stale", "silent", "mixed"]

LATCHING: frozenset[Condition] = frozenset({"sample_ratio", "crossed", "lost"})
"""Conditions that only a person clears, by restarting the step."""

MOST_CROSSED = 0.001
MOST_LOST = 0.001
MOST_UNCLOSED = 0.01
MOST_MIXED = 0.01
LEAST_IMPLIED = 20
"""Rows that the other arm's volume lets expect before an arm counts as silent."""

_WHY = "nobody has asked anything, or the records are late"
_EARLIER: dict[str, str] = {
    "sample_ratio": "The arms had other shares of users than they are due",
    "crossed": "Requests or users had crossed over to the other arm",
    "lost": "Records had been lost",
}


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """One condition that holds, and its sentence."""

    condition: Condition
    words: str


def holds(step: FrozenStep, quality: Quality, latched: tuple[str, ...]) -> tuple[Hold, ...]:
    """Return every condition that holds, those included that held earlier in the step and only a person clears."""
    now = tuple(_conditions(step, quality))
    present = {hold.condition for hold in now}
    return now + tuple(
        Hold(condition=condition, words=f"{_EARLIER[condition]} earlier in this step; restart it to begin anew")
        for condition in sorted(LATCHING - present)
        if condition in latched
    )


def newly_latched(found: tuple[Hold, ...], latched: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of all conditions that hold until a person restarts the step."""
    return tuple(sorted({*latched, *(hold.condition for hold in found if hold.condition in LATCHING)}))


def _conditions(step: FrozenStep, quality: Quality) -> Iterator[Hold]:
    stretches = pace(step.row)
    percent = step.row.percent
    if 0 < percent < 100:
        yield from _sample_ratio(quality, percent)
    yield from _crossed(quality)
    yield from _lost(quality)
    yield from _stale(quality, stretches)
    yield from _silent(quality, stretches, percent / 100)
    if quality.mixed_rows > MOST_MIXED * quality.settled_rows:
        share, most = rates(quality.mixed_rows / max(1, quality.settled_rows), MOST_MIXED)
        words = f"{share} of requests were decided at another percent than {percent:g} %, {most} at most"
        yield Hold(condition="mixed", words=f"{words}: {_of(quality.mixed_rows, quality.settled_rows)}")


def _sample_ratio(quality: Quality, percent: float) -> Iterator[Hold]:
    found = sample_ratio(quality.base_users, quality.candidate_users, percent)
    if found.is_alarming and found.log_odds is not None:
        expected = round(found.users * found.expected_share)
        words = f"{found.candidates:,} of {found.users:,} users are candidates, {expected:,} expected"
        yield Hold(condition="sample_ratio", words=f"{words}: odds {odds(found.log_odds)}. Nothing is concluded")


def _crossed(quality: Quality) -> Iterator[Hold]:
    rows, users = quality.base_rows + quality.candidate_rows, quality.base_users + quality.candidate_users
    if quality.crossed_rows > MOST_CROSSED * rows:
        words = f"{_of(quality.crossed_rows, rows)} were served by the other arm without a fallback, 0.1 % at most"
        yield Hold(condition="crossed", words=words)
    elif quality.crossed_users > MOST_CROSSED * users:
        words = f"{quality.crossed_users:,} of {users:,} users were seen in both arms, 0.1 % at most"
        yield Hold(condition="crossed", words=words)


def _lost(quality: Quality) -> Iterator[Hold]:
    if quality.lost_rows > MOST_LOST * quality.due_rows:
        words = f"{_of(quality.lost_rows, quality.due_rows, 'record')} are missing, 0.1 % at most"
        yield Hold(condition="lost", words=words)
    elif quality.disk_alarm:
        yield Hold(condition="lost", words="A full disk, or one that fails, kept records from being written")
    for arm, unclosed, rows in (
        ("base", quality.unclosed_base, quality.base_rows),
        ("the candidate", quality.unclosed_candidate, quality.candidate_rows),
    ):
        if unclosed > MOST_UNCLOSED * rows:
            words = f"{_of(unclosed, rows)} of {arm} were begun and never closed, 1 % at most"
            yield Hold(condition="lost", words=words)


def _stale(quality: Quality, stretches: Pace) -> Iterator[Hold]:
    age_s = quality.heartbeat_age_s
    if age_s is not None and age_s > stretches.heartbeat_s:
        words = f"A worker's records were last heard of {spoken(age_s)} ago, {spoken(stretches.heartbeat_s)} at most"
        yield Hold(condition="stale", words=words)


def _silent(quality: Quality, stretches: Pace, share: float) -> Iterator[Hold]:
    quiet_s = min(quality.quiet_base_s, quality.quiet_candidate_s) if 0 < share < 1 else quality.quiet_candidate_s
    if quiet_s > stretches.quiet_s:
        yield Hold(condition="silent", words=f"No request has been recorded for {spoken(quiet_s)}: {_WHY}")
        return
    if not 0 < share < 1:
        return
    for arm, seconds, other, odds_of_arm in (
        ("base", quality.quiet_base_s, quality.recent_candidate_rows, (1 - share) / share),
        ("the candidate", quality.quiet_candidate_s, quality.recent_base_rows, share / (1 - share)),
    ):
        implied = other * odds_of_arm
        if seconds > stretches.silence_s and implied >= LEAST_IMPLIED:
            expected = counted(round(implied), "request")
            yield Hold(
                condition="silent",
                words=f"No request of {arm} has been recorded for {spoken(seconds)}, where {expected} were due",
            )


def _of(part: int, whole: int, one: str = "request") -> str:
    return f"{part:,} of {counted(whole, one)}"
