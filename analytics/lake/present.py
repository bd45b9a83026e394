"""A lake and this host's journals at one moment: how fresh they are together, and what is in the journals alone.

The law: what hosts tell is read first, the journals next, and the lake's files after this, by the caller. So nothing is
called fresher than it is, and no row is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from analytics.freshness import Freshness, HostFreshness, clock_time, summed_up
from analytics.lake.elsewhere import carried_to, fresh_hosts
from analytics.lake.host import host_name
from analytics.lake.layout import Heartbeat, Lake
from analytics.lake.presence import presences
from analytics.lake.store import Store
from analytics.lake.unsealed import MOST_BYTES, TooMuchUnsealedError, Unsealed

_NAMELESS = "this host"
_MIB = 1024 * 1024


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """How fresh the lake and the `unsealed` rows are together; these by folder, as `Unsealed` has them.

    `asked_at`, when the look began, is microseconds since 1970 UTC.
    """

    asked_at: int
    freshness: Freshness
    unsealed: Mapping[str, Sequence[bytes]]


def look(store: Store, journal: Path | None, clock: Callable[[], int], most_bytes: int = MOST_BYTES) -> Present:
    """Look at what hosts tell, and into this host's `journal`; `clock` gives microseconds since 1970 UTC.

    A journal that cannot be read, or holds too much, is left out, and the answer's freshness says so.

    Raises:
        OSError: the lake cannot be read.
    """
    asked_at = clock()
    beats = Lake(store).all_heartbeats()
    hosts = fresh_hosts(presences(store), beats, asked_at)
    if journal is None or not journal.is_dir():
        return Present(asked_at=asked_at, freshness=_of_others(hosts, beats, asked_at), unsealed={})
    name = host_name(journal) or _NAMELESS
    own, unsealed = HostFreshness(host=name, fresh_to=asked_at), Unsealed(most_bytes)
    warnings: list[str] = []
    try:
        unsealed.read(journal, {(beat.worker, beat.boot): beat.sealed for beat in beats})
    except (TooMuchUnsealedError, OSError) as error:
        shipped_to = _last(beat for beat in beats if beat.host == name)
        own, unsealed = HostFreshness(host=name, fresh_to=shipped_to), Unsealed()
        warnings.append(_left_out(error, most_bytes, shipped_to))
    others = [one for one in hosts if one.host != name]
    return Present(asked_at=asked_at, freshness=summed_up([own, *others], asked_at, warnings), unsealed=unsealed.rows)


def _of_others(hosts: Sequence[HostFreshness], beats: Sequence[Heartbeat], asked_at: int) -> Freshness:
    """Return how fresh the lake is by what hosts say; where all have ended, it is as fresh as they left it."""
    return summed_up(hosts, asked_at) if hosts else Freshness(fresh_to=_last(beats))


def _last(beats: Iterable[Heartbeat]) -> int | None:
    return max(map(carried_to, beats), default=None)


def _left_out(error: Exception, most_bytes: int, shipped_to: int | None) -> str:
    since = "some time ago" if shipped_to is None else clock_time(shipped_to)
    if isinstance(error, TooMuchUnsealedError):
        why = f"its journal holds more than {most_bytes // _MIB} MiB that is not in the lake"
    else:
        why = f"its journal cannot be read ({error})"
    return f"what this host recorded after {since} is missing: {why}; look in the log why the shipper does not ship"
