"""Is everybody's candidate worse than base was? Watching after the rollout, against a frozen reference. Pure.

Law: a frozen reference cannot tell a drift of the world from a regression; so this alarm notifies and rolls nothing
back. The mean over λ of M_λ is a Shiryaev-Roberts procedure that begins at 0: it grows by at most 1 an observation
while nothing is worse than the margin, hence false alarms are as many observations apart as the threshold says, on
average (Shin, Ramdas, Rinaldo 2022, arXiv 2203.03532: e-detectors).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

from analytics.evidence import ArmSums, CheckSums
from analytics.proof import proof

SIZES = (0.25, 0.5, 1.0, 2.0)
"""λ: shifts in standard errors for each of which there is one M."""

HOURS_APART = 2160.0
"""Threshold for hours: one false alarm in at least 90 days."""

DAYS_APART = 90.0
"""The same for days, where hours have too few users."""

CLIP = 4.0
"""One observation speaks for no more than four standard errors."""

LEAST_USERS = 30
"""An hour of the reference with fewer users is thin."""

THIN_SHARE = 0.05
"""With more than this share of thin hours the reference is kept by days."""


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """M_λ for each of `SIZES`, 0 at the start and after an alarm."""

    sums: tuple[float, ...] = (0.0,) * len(SIZES)

    @property
    def level(self) -> float:
        """The mean of M_λ, which alarms at the threshold."""
        return math.fsum(self.sums) / len(self.sums)


def score(reference: ArmSums, now: ArmSums, *, relative: float = 0.0, absolute: float = 0.0) -> float | None:
    """Return z: by how many standard errors the present hour is worse than the margin over its hour of the reference.

    The statistic of PASS with the sign turned, the present hour in the candidate's place: no more than `margin` is held
    against it. None while either has fewer than two users, or if R* is above what a rate can prove.
    """
    found = proof(CheckSums(cap=1.0, base=reference, candidate=now), relative=relative, absolute=absolute)
    return None if found is None else -found.statistic


def watch(detector: Detector, z: float, *, threshold: float = HOURS_APART) -> tuple[Detector, bool]:
    """Return the detector after one more observation, and whether it alarms; then it begins anew.

    M ← (1 + M)·exp(λz - λ²/2), with `z` clipped to ±4; `threshold`: observations between two false alarms.
    """
    clipped = min(CLIP, max(-CLIP, z))
    after = Detector(
        sums=tuple(
            (1 + value) * math.exp(size * clipped - size * size / 2)
            for size, value in zip(SIZES, detector.sums, strict=True)
        )
    )
    return (Detector(), True) if after.level >= threshold else (after, False)


def needs_days(users_by_hour: Iterable[int]) -> bool:
    """Tell whether the reference is too thin for hours, given how many users each of its hours of the week has."""
    users = list(users_by_hour)
    return sum(count < LEAST_USERS for count in users) > THIN_SHARE * len(users) or not users
