"""What a host holds of a fleet's limit, what it asks for, and what it may take alone. Pure: clocks and counts come in.

Law: where all hosts have looked since anything last changed, what they hold together is never more than the limit,
whether the store is there, away, or has forgotten everything. What one of them was granted after another's last look
can come on top of the other's part: at most one lease for each host. Where only some hosts are cut off from the store
for longer than `DEAD_MS`, the parts that these go by come on top.
"""

from __future__ import annotations

import msgspec

from rollout.lease import QUIET_MS, Answer, Ask, Kind, Settled

SPARE_SHARE = 8
"""A host leases ahead this part of its share of what is free: an eighth of it."""
_DAY_S = 86_400
_MINUTE = 60
_MINUTE_S = 60.0


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """By how many hosts a limit is divided when each goes by its own part."""

    hosts: int
    """1 or more; never fewer than there may be."""

    rank: int | None = None
    """The place of this host among them; None: unknown, then what is left over in a division is nobody's."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What this host has of one limit. Kept in a file, so that a restart neither forgets nor doubles anything."""

    kind: Kind
    name: str
    limit: int
    granted: int = 0
    """Slots that may be in use; nano-USD that may be spent on `day`; tokens that may have been spent, ever."""

    day: int = 0
    """Cost: the UTC day, in days since 1970."""

    base: int = 0
    """Slots, cost: what it had when it last looked."""

    free: int | None = None
    """What nobody had at its last look; None: it has never looked."""

    looked_at: float = 0.0
    """When the last answer came, in seconds since 1970."""

    alone_to: float | None = None
    """Rate: until when it has reckoned its own part since its last look; None: it has not begun to."""

    is_alone: bool = False
    """Whether its last question had no answer to go by."""

    owed: int = 0
    """Rate: tokens that it gave itself since its last look."""

    back: int = 0
    """Rate: unused tokens that are the store's as soon as it answers, and are not in `granted` until then."""


def joined(fleet: Fleet, settled: Settled, gateways: int) -> Fleet:
    """Return the fleet after an answer; `gateways` is how many hosts it is configured to have at most."""
    if settled.is_young:
        return msgspec.structs.replace(fleet, hosts=max(fleet.hosts, settled.hosts, gateways))
    return Fleet(hosts=max(settled.hosts, gateways), rank=settled.rank)


def part(total: int, fleet: Fleet) -> int:
    """Return this host's part of something that all hosts divide; the parts of all are together at most all of it."""
    whole, left = divmod(total, fleet.hosts)
    return whole + (fleet.rank is not None and fleet.rank < left)


def eased(holding: Holding, fleet: Fleet, used: int) -> Holding:
    """Give back what is idle but for a spare, of a limit that nobody asked for lately; alone tokens alone.

    Of tokens a host that is alone keeps a second's worth, as it may have to wait for an answer in vain. Whoever acts by
    it first lowers what may be taken, then counts again what is used (`recounted`), and says both in `ask`.
    """
    spare = _spare(holding, fleet, is_busy=False)
    if holding.kind == "rate" and holding.is_alone:
        spare = max(spare, holding.limit // (fleet.hosts * _MINUTE) + 1)
    granted = used + spare
    if granted >= holding.granted or (holding.is_alone and holding.kind != "rate"):
        return holding
    back = holding.granted - granted if holding.kind == "rate" else 0
    return msgspec.structs.replace(holding, granted=granted, back=holding.back + back)


def recounted(holding: Holding, used: int) -> Holding:
    """Keep of the tokens that were to be given back those that were used in that moment."""
    more = min(holding.back, max(0, used - holding.granted))
    return (
        msgspec.structs.replace(holding, granted=holding.granted + more, back=holding.back - more) if more else holding
    )


def ask(holding: Holding, fleet: Fleet, *, used: int, needed: int, is_busy: bool, now_s: float) -> Ask:
    """Say what there is, and ask for what is needed beyond what is idle, with a spare ahead of the next.

    A spare is filled up when half of it is used, and only where there are requests, lest hosts pass it to and fro.

    Args:
        holding: What this host has.
        fleet: Who else is there.
        used: Slots in use; tokens ever spent; nano-USD spent and set aside on the holding's day.
        needed: What requests wait for; 0 where none does.
        is_busy: Whether requests began lately.
        now_s: Seconds since 1970.
    """
    idle = max(0, holding.granted - used)
    spare = _spare(holding, fleet, is_busy=needed > 0)
    is_short = needed > 0 or (is_busy and 2 * idle < spare)
    wanted = max(0, needed + spare - idle) if is_short else 0
    if holding.kind == "rate":
        known = _reckoned(holding, now_s)
        return Ask(
            kind="rate",
            name=holding.name,
            limit=holding.limit,
            has=idle,
            wanted=wanted,
            owed=min(holding.owed, -(-holding.limit // fleet.hosts)),
            back=holding.back,
            known_free=known,
        )
    held = used if holding.kind == "slots" else 0
    return Ask(
        kind=holding.kind,
        name=holding.name,
        limit=holding.limit,
        has=holding.granted,
        held=held,
        wanted=wanted,
        day=holding.day,
        known_free=holding.free,
    )


def took(holding: Holding, answer: Answer, *, now_s: float) -> Holding:
    """Return what this host has after the answer of a store that is not young."""
    granted = answer.granted + (holding.granted if holding.kind == "rate" else 0)
    return msgspec.structs.replace(
        holding,
        granted=granted,
        day=answer.day,
        base=granted,
        free=answer.free,
        looked_at=now_s,
        alone_to=None,
        is_alone=False,
        owed=0,
        back=0,
    )


def alone(holding: Holding, fleet: Fleet, *, used: int, now_s: float, is_young: bool = False) -> Holding:
    """Return what this host has by itself, after a failure, or (`is_young`) the answer of a store that has just begun.

    For `QUIET_MS` after its last look it goes on with what it has, as the store does not yet keep its part for it. Then
    it has what it had at its last look, though it meant to give some of it back, and takes its part of what was free;
    of slots it has no more than its part of all. A rate's part grows by the minute. Tokens that it meant to give back
    are its own again.
    """
    holding = msgspec.structs.replace(holding, is_alone=True, granted=holding.granted + holding.back, back=0)
    if not is_young and holding.free is not None and 0 <= now_s - holding.looked_at <= QUIET_MS / 1000:
        return holding
    if holding.kind == "rate":
        return _filled(holding, fleet, used, now_s)
    if holding.kind == "cost":
        holding = _of_today(holding, int(now_s // _DAY_S))
    ours, share = _shares(holding, fleet)
    most = share if holding.kind == "slots" else holding.limit
    return msgspec.structs.replace(holding, granted=min(most, holding.base + ours))


def _spare(holding: Holding, fleet: Fleet, *, is_busy: bool) -> int:
    free = holding.limit if holding.free is None else holding.free
    spare = max(0, free) // (SPARE_SHARE * fleet.hosts)
    return max(spare, 1) if is_busy and free >= fleet.hosts else spare


def _shares(holding: Holding, fleet: Fleet) -> tuple[int, int]:
    """Return this host's part of what was free, and of all; who has never looked knows no rank that others go by."""
    if holding.free is None:
        fleet = Fleet(hosts=fleet.hosts)
        return part(holding.limit, fleet), part(holding.limit, fleet)
    return part(holding.free, fleet), part(holding.limit, fleet)


def _reckoned(holding: Holding, now_s: float) -> int | None:
    """Return how many tokens the common bucket would have by now, as far as this host knows."""
    if holding.free is None:
        return None
    grown = holding.limit * max(0.0, now_s - holding.looked_at) / _MINUTE_S
    return min(holding.limit, holding.free + int(grown))


def _filled(holding: Holding, fleet: Fleet, used: int, now_s: float) -> Holding:
    """Let this host's part of the bucket grow; it holds a minute's worth of its part of the rate."""
    ours, most = _shares(holding, fleet)
    room = max(0, most - (holding.granted - used))
    started = (now_s if holding.free is None else holding.looked_at) if holding.alone_to is None else holding.alone_to
    a_token_s = _MINUTE_S * fleet.hosts / holding.limit
    grown = int(max(0.0, now_s - started) / a_token_s)
    more = grown + (ours if holding.alone_to is None else 0)
    if more < 0:
        # What is free is less than nothing, until it has grown so much.
        return holding
    given = min(more, room)
    return msgspec.structs.replace(
        holding,
        granted=holding.granted + given,
        owed=holding.owed + given,
        alone_to=now_s if more > room or now_s < started else started + grown * a_token_s,
    )


def _of_today(holding: Holding, today: int) -> Holding:
    if today <= holding.day:
        return holding
    free = None if holding.free is None else holding.limit
    return msgspec.structs.replace(holding, day=today, base=0, free=free, granted=0)
