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
        self.flush()

    def flush(self) -> None:
        """Forget everything."""
        self._born = self._awake = -1
        self._beats: dict[str, int] = {}
        self._slots: dict[str, dict[str, tuple[int, int]]] = {}
        self._levels: dict[str, tuple[int, int]] = {}
        self._parts: dict[str, dict[str, int]] = {}
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
        young = self._is_young(now)
        return Settled(hosts=len(living), rank=living.index(host), is_young=young, answers=tuple(answers))

    def close(self) -> None:
        """Nothing is open."""

    def _beat(self, host: str, now: int) -> None:
        if self._born < 0:
            self._born = self._awake = now
        if max(self._beats.values(), default=0) + DEAD_MS / 2 < now:
            self._awake = now
        self._beats[host] = now
        self._beats = {one: beat for one, beat in self._beats.items() if now - max(beat, self._awake) <= DEAD_MS}

    def _is_young(self, now: int) -> bool:
        return now - self._born < YOUNG_MS

    def _part(self, free: int) -> int:
        return math.ceil(free / len(self._beats))

    def _more(self, wanted: int, room: int, now: int, parts: dict[str, int]) -> int:
        """Grant what is there, but for the parts of hosts that may have taken them unheard."""
        kept = sum(part for one, part in parts.items() if one in self._beats and now - self._beats[one] > QUIET_MS)
        return 0 if self._is_young(now) else min(wanted, max(0, room - kept))

    def _slot(self, host: str, ask: Ask, now: int) -> Answer:
        known = self._slots.setdefault(ask.name, {})
        for gone in known.keys() - self._beats.keys():
            del known[gone]
        known.pop(host, None)
        others = sum(count for count, _ in known.values())
        mine = max(ask.held, min(ask.has, max(0, ask.limit - others)))
        room = max(0, ask.limit - others - mine)
        more = self._more(ask.wanted, room, now, {one: part for one, (_, part) in known.items()})
        known[host] = (mine + more, self._part(room - more))
        return Answer(granted=mine + more, free=room - more, retry_ms=500 if more < ask.wanted else 0)

    def _rate(self, host: str, ask: Ask, now: int) -> Answer:
        parts = self._parts.setdefault(ask.name, {})
        parts.pop(host, None)
        full = ask.limit * TOKEN
        known = min(full, (ask.limit if ask.known_free is None else ask.known_free) * TOKEN)
        level, at = self._levels.get(ask.name, (known, now))
        level = min(full, level + max(0, now - at) * ask.limit)
        if self._is_young(now):
            level = min(level, known)
        level = max(-full, level - ask.owed * TOKEN)
        more = self._more(ask.wanted, max(0, level // TOKEN), now, parts)
        level -= more * TOKEN
        free = max(0, level // TOKEN)
        self._levels[ask.name] = (level, now)
        parts[host] = self._part(free)
        retry_ms = max(1, math.ceil((TOKEN - level) / ask.limit)) if more < ask.wanted else 0
        return Answer(granted=more, free=free, retry_ms=retry_ms)

    def _cost(self, host: str, ask: Ask, now: int) -> Answer:
        today = now // DAY_MS
        day = max(today, ask.day)
        has = ask.has if ask.day == day else 0
        known = self._costs.setdefault(ask.name, {})
        for gone in [one for one, (of, _, _) in known.items() if of < today]:
            del known[gone]
        of, mine, _ = known.pop(host, (day, 0, 0))
        if ask.known_free is None and of == day and mine > has:
            lost = known.get("lost", (day, 0, 0))[1]
            known["lost"] = (day, lost + mine - has, 0)
        others = sum(amount for of, amount, _ in known.values() if of == day)
        room = max(0, ask.limit - others - has)
        parts = {one: part for one, (_, _, part) in known.items()}
        more = 0 if day > today else self._more(ask.wanted, room, now, parts)
        known[host] = (day, has + more, self._part(room - more))
        retry_ms = (day + 1) * DAY_MS - now if more < ask.wanted else 0
        return Answer(granted=has + more, free=room - more, day=day, retry_ms=retry_ms)
