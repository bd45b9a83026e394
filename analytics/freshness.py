"""How fresh an answer is, told beside it: up to when everything is in it, by the word of each host. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HostFreshness(msgspec.Struct, frozen=True, kw_only=True):
    """One host that writes the lake: what had ended there by `fresh_to` (microseconds since 1970 UTC) is in the answer.

    None: it has not told yet. One that `is_silent` has told nothing for so long that it may be gone: what it served
    since then may lie in its journal.
    """

    host: str
    fresh_to: int | None
    is_silent: bool = False


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that had ended by `fresh_to` is in the answer, on all `hosts` but the silent ones.

    Microseconds since 1970 UTC, never later than the question; None: nobody can tell. `warnings` are sentences.
    """

    fresh_to: int | None
    hosts: tuple[HostFreshness, ...] = ()
    warnings: tuple[str, ...] = ()


UNKNOWN = Freshness(fresh_to=None)


def summed_up(hosts: Sequence[HostFreshness], asked_at: int, warnings: Sequence[str] = ()) -> Freshness:
    """Return how fresh an answer is that was asked for at `asked_at`: as fresh as the last of the hosts that tell.

    A host's clock may be ahead of ours: nothing is fresher than the question.
    """
    known = tuple(
        msgspec.structs.replace(one, fresh_to=None if one.fresh_to is None else min(one.fresh_to, asked_at))
        for one in hosts
    )
    counting = [one.fresh_to for one in known if not one.is_silent] or [one.fresh_to for one in known]
    told = [at for at in counting if at is not None]
    silent = [_silence(one) for one in known if one.is_silent]
    fresh_to = min(told) if told and len(told) == len(counting) else None
    return Freshness(fresh_to=fresh_to, hosts=known, warnings=(*warnings, *silent))


def clock_time(at: int) -> str:
    """Return a moment as people read it: `2026-11-22 16:05:12 UTC`."""
    return f"{_EPOCH + timedelta(microseconds=at):%Y-%m-%d %H:%M:%S} UTC"


def _silence(one: HostFreshness) -> str:
    since = "" if one.fresh_to is None else f" since {clock_time(one.fresh_to)}"
    return (
        f"host {one.host} has told nothing{since}: what it served after that may be missing; unless it is gone for "
        "good, look whether its shipper runs and reaches the lake"
    )
