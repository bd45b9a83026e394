"""Which arm serves a user, and why."""

from __future__ import annotations

from gateway.console.views import WhoisView
from rollout.assignment import assign
from rollout.change import Held


def whois_view(held: Held, key: bytes, hashed: bytes, *, killed: bool) -> WhoisView:
    """Return what a rollout decides for a user key and its hash; `killed`: everybody is sent to base."""
    flag = held.flag
    decided = assign(flag, key, hashed, fresh=True, killed=killed)
    return WhoisView(
        rollout=flag.rollout,
        flag=flag.flag,
        arm=decided.arm,
        model=flag.candidate if decided.arm == "candidate" else flag.base,
        reason=decided.reason,
        bucket=decided.bucket,
        percent_bucket=decided.bucket // 100 if decided.bucket is not None else None,
        percent=flag.percent,
        version=flag.version,
        generation=flag.generation,
        user_hash=hashed.hex(),
    )
