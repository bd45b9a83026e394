"""Which heartbeats a host writes: in a directory all of them, in an object store, where each costs money, few. Pure.

The law: whoever reads them hears something of a host every few seconds, whether it has anything to do or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from analytics.lake.layout import Heartbeat

SAME_BEAT_S = 30.0
"""How often a heartbeat that says nothing new is put into an object store."""
QUIET_S = 4.0
"""How long a host may put none at all: one of them then says that nothing came, so that reports know."""
_US = 1_000_000


def to_tell(beats: Mapping[str, Heartbeat], told: Mapping[str, Heartbeat], *, is_far: bool) -> Sequence[str]:
    """Return the workers whose `beats` are to be written now; `told` are the last that were, by worker."""
    if not is_far:
        return list(beats)
    telling = [worker for worker, beat in beats.items() if _says_more(beat, told.get(worker))]
    if telling or not beats:
        return telling
    by_age = sorted(beats, key=lambda worker: told[worker].at)
    is_quiet = beats[by_age[0]].at - told[by_age[-1]].at >= QUIET_S * _US
    return by_age[:1] if is_quiet else []


def _says_more(beat: Heartbeat, last: Heartbeat | None) -> bool:
    if last is None or beat.at - last.at >= SAME_BEAT_S * _US:
        return True
    return replace(last, at=beat.at, fresh_to=beat.fresh_to) != beat
