"""A store of leases in memory, by a clock of the test's: what hosts share, and what a test may take away or empty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rollout.lease import DEAD_MS, QUIET_MS, YOUNG_MS, Answer, Ask, Settled
from rollout.stores.ledger import StoreUnavailableError

DAY_MS = 86_400_000
TOKEN = 60_000


class MemoryLeases:
    """A `LeaseStore`. `clock_ms` is its own clock, in milliseconds since 1970."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self.is_away = False
        self.loses_answers = False
        self._heard: dict[str, int] = {}
        """When each host got its last answer: what a host says of itself, not what a store may forget."""
        self.flush()

    def flush(self) -> None:
        """Forget everything."""
        self._born = self._awake = -1
        self._beats: dict[str, int] = {}
        self._had: dict[str, int] = {}
        self._is_lost = False
        self._slots: dict[str, dict[str, tuple[int, int]]] = {}
        self._levels: dict[str, tuple[int, int]] = {}
        self._rates: dict[str, dict[str, tuple[int, int, int, int, int]]] = {}
        self._costs: dict[str, dict[str, tuple[int, int, int]]] = {}

    def settle(self, host: str, asks: Sequence[Ask]) -> Settled:
        """Answer as the script in Redis does."""
        if self.is_away:
            message = "the store is away"
            raise StoreUnavailableError(message)
        now = self._clock_ms()
        self._beat(host, now)
        living = sorted(self._beats)
        settle = {"slots": self._slot, "rate": self._rate, "cost": self._cost}
        answers = [settle[ask.kind](host, ask, now) for ask in asks]
        if self.loses_answers:
            message = "the answer was lost"
            raise StoreUnavailableError(message)
        self._heard[host] = now
        young = self._is_young(now)
        return Settled(hosts=len(living), rank=living.index(host), is_young=young, answers=tuple(answers))

    def close(self) -> None:
        """Nothing is open."""

    def _beat(self, host: str, now: int) -> None:
        if self._born < 0:
            self._born = self._awake = now
        if max(self._beats.values(), default=0) + DEAD_MS / 2 < now:
            self._awake = now
        heard = self._heard.get(host, now)
        self._is_lost = heard < self._beats.get(host, 0)
        self._beats[host], self._had[host] = now, heard
        self._beats = {one: beat for one, beat in self._beats.items() if now - max(beat, self._awake) <= DEAD_MS}

    def _is_young(self, now: int) -> bool:
        return now - self._born < YOUNG_MS

    def _part(self, free: int, before: int) -> int:
        part = math.ceil(free / len(self._beats))
        return max(part, before) if self._is_lost else part

    def _more(self, wanted: int, room: int, now: int, parts: dict[str, int], rate: int | None = None) -> int:
        """Grant what is there, but for the parts of hosts that may have taken them unheard."""
        kept = 0
        for one, part in parts.items():
            silent_ms = now - self._had[one] if one in self._beats else 0
            if silent_ms > QUIET_MS:
                grown = math.ceil((rate or 0) * silent_ms / TOKEN / len(self._beats))
                most = part if rate is None else math.ceil(rate / len(self._beats))
                kept += max(0, min(most, part + grown))
        return 0 if self._is_young(now) else min(wanted, max(0, room - kept))

    def _slot(self, host: str, ask: Ask, now: int) -> Answer:
        known = self._slots.setdefault(ask.name, {})
        for gone in known.keys() - self._beats.keys():
            del known[gone]
        before = known.pop(host, (0, 0))[1]
        others = sum(count for count, _ in known.values())
        mine = max(ask.held, min(ask.has, max(0, ask.limit - others)))
        room = max(0, ask.limit - others - mine)
        more = self._more(ask.wanted, room, now, {one: part for one, (_, part) in known.items()})
        known[host] = (mine + more, self._part(room - more, before))
        return Answer(granted=mine + more, free=room - more, retry_ms=500 if more < ask.wanted else 0)

    def _rate(self, host: str, ask: Ask, now: int) -> Answer:
        known = self._rates.setdefault(ask.name, {})
        for gone in known.keys() - self._beats.keys():
            del known[gone]
        mine, owed, got, at, before = known.pop(host, (ask.has, 0, 0, self._had[host], 0))
        taken = 0
        if not at or at > self._had[host]:
            mine, taken = max(0, mine - got - owed), owed + got
        owing = {one: max(0, owed) for one, (_, owed, _, at, _) in known.items() if not at or at > self._had[one]}
        unsettled = sum(owing.values())
        others = sum(max(has, owing.get(one, 0)) for one, (has, *_) in known.items())
        full = ask.limit * TOKEN
        first = min(full, (ask.limit if ask.known_free is None else ask.known_free) * TOKEN)
        level, since = self._levels.get(ask.name, (first, now))
        level += max(0, now - since) * ask.limit + taken * TOKEN
        young = self._is_young(now)
        if young:
            level = min(level, first - unsettled * TOKEN)
        level = min(level, full - (others + mine) * TOKEN)
        back = 0 if young else ask.back
        owed, has = ask.owed - back, ask.has + ask.back - back
        level = min(max(-full, level - owed * TOKEN), full - (others + has) * TOKEN)
        parts = {one: part for one, (*_, part) in known.items()}
        more = self._more(ask.wanted, max(0, level // TOKEN), now, parts, ask.limit)
        level -= more * TOKEN
        free = level // TOKEN
        self._levels[ask.name] = (level, now)
        known[host] = (has + more, owed, more, 0 if young else now, self._part(free, before))
        retry_ms = max(1, math.ceil((TOKEN - level) / ask.limit)) if more < ask.wanted else 0
        return Answer(granted=more, free=free, retry_ms=retry_ms)

    def _cost(self, host: str, ask: Ask, now: int) -> Answer:
        today = now // DAY_MS
        day = max(today, ask.day)
        has = ask.has if ask.day == day else 0
        known = self._costs.setdefault(ask.name, {})
        for gone in [one for one, (of, _, _) in known.items() if of < today]:
            del known[gone]
        of, mine, before = known.pop(host, (day, 0, 0))
        if ask.known_free is None and of == day and mine > has:
            lost = known.get("lost", (day, 0, 0))[1]
            known["lost"] = (day, lost + mine - has, 0)
        others = sum(amount for of, amount, _ in known.values() if of == day)
        room = max(0, ask.limit - others - has)
        parts = {one: part for one, (_, _, part) in known.items()}
        more = 0 if day > today else self._more(ask.wanted, room, now, parts)
        known[host] = (day, has + more, self._part(room - more, before))
        retry_ms = (day + 1) * DAY_MS - now if more < ask.wanted else 0
        return Answer(granted=has + more, free=room - more, day=day, retry_ms=retry_ms)
