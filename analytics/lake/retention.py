"""Which compacted files have no row that is to be kept, and which numbers are not missed after them. Pure.

Days are kept or let go whole: a file below `requests/` or `feedback/` has rows of one day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from msgspec.structs import replace

from analytics.lake.elsewhere import Gap
from analytics.lake.manifest import Expired, Part


def first_kept(today: date, retention_days: int | None) -> date | None:
    """Return the first day whose rows are kept: so many days before today; None: all are."""
    if retention_days is None:
        return None
    return today - timedelta(days=min(retention_days, (today - date.min).days))


def parts_over(parts: Sequence[Part], before: date | None) -> list[Part]:
    """Return the parts of the first day that is over, if there is one before that day."""
    over = [part for part in parts if before is not None and part.day is not None and part.day < before]
    first = min((part.day for part in over if part.day is not None), default=None)
    return [part for part in over if part.day == first]


def let_go(
    former: Expired | None, over: Sequence[Part], before: date, seqs: Iterable[Gap], boots: Collection[tuple[str, str]]
) -> Expired:
    """Return what was let go together with these parts, which have these numbers; only `boots` may have others."""
    known = former or Expired(before=before, rows=0, files=0)
    return Expired(
        before=max(known.before, before),
        rows=known.rows + sum(part.rows for part in over),
        files=known.files + len(over),
        seqs=[one for one in joined([*known.seqs, *seqs]) if (one.worker, one.boot) in boots],
    )


def joined(ranges: Iterable[Gap]) -> list[Gap]:
    """Return ranges in their order, those that touch or overlap as one."""
    made: list[Gap] = []
    for one in sorted(ranges, key=lambda one: (one.worker, one.boot, one.first_seq)):
        last = made[-1] if made else None
        if last is not None and _boot(last) == _boot(one) and one.first_seq <= last.last_seq + 1:
            made[-1] = replace(last, last_seq=max(last.last_seq, one.last_seq))
        else:
            made.append(one)
    return made


def without(gaps: Iterable[Gap], known: Sequence[Gap]) -> list[Gap]:
    """Return what of the gaps is in none of the `known` ranges."""
    left: list[Gap] = []
    for gap in gaps:
        first = gap.first_seq
        for one in joined(one for one in known if _boot(one) == _boot(gap)):
            if one.last_seq < first or one.first_seq > gap.last_seq:
                continue
            if one.first_seq > first:
                left.append(replace(gap, first_seq=first, last_seq=one.first_seq - 1))
            first = one.last_seq + 1
        if first <= gap.last_seq:
            left.append(replace(gap, first_seq=first))
    return left


def _boot(one: Gap) -> tuple[str, str]:
    return one.worker, one.boot
