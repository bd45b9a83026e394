"""What a lake's own files say of the hosts that write it: how far each has come, and who has fallen silent. Pure.

The law: what a host says it has settled must be in the lake, and what lies above that may be in its journal still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from analytics.freshness import HostFreshness
from analytics.lake.layout import Heartbeat
from analytics.lake.presence import AGAIN_S, Presence

SILENT_S = 1.5 * AGAIN_S
"""After how long a host of a fleet counts as silent: a living one tells of itself every `AGAIN_S`."""
_US = 1_000_000


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, or pieces of feedback, `first_seq` to `last_seq` (inclusive) of one boot are nowhere."""

    worker: str
    boot: str
    first_seq: int
    last_seq: int


class Silent(msgspec.Struct, frozen=True, kw_only=True):
    """A host of a fleet that neither tells nor has ended; its last word came at `told_at` (microseconds, UTC)."""

    host: str
    told_at: int


def settled(beats: Iterable[Heartbeat]) -> Mapping[tuple[str, str], int]:
    """Return by worker and boot up to which number every request is in the lake, by its host's word."""
    return {(beat.worker, beat.boot): beat.settled_to for beat in beats if beat.settled_to is not None}


def told_apart(gaps: Sequence[Gap], beats: Sequence[Heartbeat], own_host: str | None) -> tuple[list[Gap], int]:
    """Return the gaps of which no other host says that they may be in its journal, and how many numbers those have."""
    settled_to = settled(beat for beat in beats if beat.host is not None and beat.host != own_host)
    left: list[Gap] = []
    elsewhere = 0
    for gap in gaps:
        last_seq = min(gap.last_seq, settled_to.get((gap.worker, gap.boot), gap.last_seq))
        elsewhere += gap.last_seq - max(last_seq, gap.first_seq - 1)
        if last_seq >= gap.first_seq:
            left.append(replace(gap, last_seq=last_seq))
    return left, elsewhere


def fresh_hosts(told: Iterable[Presence], beats: Sequence[Heartbeat], now_us: int) -> list[HostFreshness]:
    """Return how fresh the lake is of each host, by their own words, in the order of their names.

    A host that took its presence back has ended, and left nothing. One that is in no fleet never has any: it counts as
    long as it is heard of.
    """
    present = list(told)
    heard_of = {one.host for one in present}
    fresh_to: dict[str, int] = {}
    for beat in beats:
        if beat.host is not None:
            heard_of |= {beat.host} if now_us - beat.at <= SILENT_S * _US else set()
            fresh_to[beat.host] = max(fresh_to.get(beat.host, 0), carried_to(beat))
    silent = {one.host for one in silent_hosts(present, beats, now_us)}
    return [
        HostFreshness(host=host, fresh_to=fresh_to.get(host), is_silent=host in silent) for host in sorted(heard_of)
    ]


def carried_to(beat: Heartbeat) -> int:
    """Return up to when everything of its host is in the lake; earlier versions say no more than when they beat."""
    return beat.at if beat.fresh_to is None else beat.fresh_to


def silent_hosts(told: Iterable[Presence], beats: Iterable[Heartbeat], now_us: int) -> list[Silent]:
    """Return the hosts whose last word, of either kind, is too old; what they served since lies in their journals."""
    last = {one.host: one.at for one in told}
    for beat in beats:
        if beat.host in last:
            last[beat.host] = max(last[beat.host], beat.at)
    return [Silent(host=host, told_at=at) for host, at in sorted(last.items()) if now_us - at > SILENT_S * _US]
