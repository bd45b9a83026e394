"""Who gets which arm, and why. Pure: the same flag and user give the same assignment, for ever."""

from __future__ import annotations

from typing import Literal

import msgspec

from analytics.record import Arm
from rollout.bucket import bucket, threshold
from rollout.flag import Flag

Reason = Literal["split", "targeting_match", "disabled", "stale", "default"]
"""OpenFeature's words: by bucket; a forced user; switched off by `force-base`; by bucket, but the flag's source has not
answered lately; no user key, or no flag was ever seen."""


class Assignment(msgspec.Struct, frozen=True):
    """One decision with its evidence; `bucket` (0..9999) is None when the user has none."""

    arm: Arm
    reason: Reason
    bucket: int | None


UNDECIDED = Assignment("base", "default", None)
"""While no flag was ever seen: the bucket of nobody is known, since the salt is not."""


def assign(flag: Flag, user_key: bytes | None, user_hash: bytes | None, *, fresh: bool, killed: bool) -> Assignment:
    """Decide one request's arm.

    `user_key` None means anonymous: base. `fresh` tells that the flag's source has answered lately, `killed` that an
    operator forces everybody to base. Raising the percent never moves a candidate user back.
    """
    if killed:
        return Assignment("base", "disabled", None)
    if user_key is None or user_hash is None:
        return Assignment("base", "default", None)
    place = bucket(flag.salt, user_key)
    if flag.forced and (arm := flag.forced.get(user_hash.hex())):
        return Assignment(arm, "targeting_match", place)
    arm = "candidate" if place < threshold(flag.percent) else "base"
    return Assignment(arm, "split" if fresh else "stale", place)
