"""One limit of a fleet in a host's hands: what is wanted of it, what is asked, what the workers may take then. Pure.

Law: what a host means to give back it takes from its workers first, and counts what they use once more before it says
so; of another day's lease nothing can be taken before the day is written.
"""

from __future__ import annotations

import msgspec

from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, LeasedSheet, used_of
from gateway.proxy.limits import ROW_CELLS
from rollout.holding import Fleet, Holding, alone, ask, eased, recounted, took
from rollout.lease import Answer, Ask

IDLE_S = 0.5
"""A limit that nobody waited for more of for so long has its idle part given back."""
BUSY_S = 1.0
"""For so long after its use changed, a limit is leased ahead of those who ask."""
_ALONE_RETRY_MS = 500
_MS_NS = 1_000_000


class Leasehold:
    """One limit; `sheet` is nobody's until a worker of the host has met it.

    Moments are seconds since 1970, but for what workers compare with the host's monotonic clock (`_ns`).
    """

    __slots__ = ("_asked_at", "_busy_at", "_needed", "_used_before", "holding", "is_met", "sheet")

    def __init__(self, holding: Holding) -> None:
        self.holding = holding
        self.sheet = LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1)
        self.is_met = False
        self._needed: int = 0
        self._used_before: int = 0
        self._asked_at = self._busy_at = 0.0

    @property
    def used(self) -> int:
        """Return what the workers use: slots, tokens ever spent, nano-USD of the holding's day."""
        return used_of(self.sheet, self.holding.kind, self.holding.day)

    def meet(self, sheet: LeasedSheet) -> None:
        """Go on from what the workers go by, which may be newer than what was kept."""
        self.sheet, self.is_met = sheet, True
        is_told = self.holding.kind != "rate" or sheet.lease(GRANTED)
        if is_told and sheet.lease(OF_DAY) >= self.holding.day:
            self.holding = msgspec.structs.replace(self.holding, granted=sheet.lease(GRANTED), day=sheet.lease(OF_DAY))

    def be_limited(self, limit: int) -> None:
        """Take over what the configuration says now."""
        if self.holding.limit != limit:
            self.holding = msgspec.structs.replace(self.holding, limit=limit)

    def is_wanted(self, now_s: float) -> bool:
        """Look whether requests wait for more."""
        self._needed = self.sheet.wanted if self.is_met else 0
        if self._needed:
            self._asked_at = now_s
        return self._needed > 0

    def begin(self) -> None:
        """Say that a round has begun."""
        self.sheet.write_lease(ROUND, self.sheet.lease(ROUND) // 2 * 2 + 1)

    def ask(self, fleet: Fleet, now_s: float) -> Ask:
        """Return what to ask in this round."""
        used = self.used
        if self._needed or used != self._used_before:
            self._busy_at, self._used_before = now_s, used
        if not 0 <= now_s - self._asked_at < IDLE_S:
            self._hold(eased(self.holding, fleet, used))
            used = self.used
            self._hold(recounted(self.holding, used))
        if self.holding.kind == "cost" and (more := used - self.holding.granted) > 0:
            # Requests cost more than their ceiling: nobody granted it, and it was spent.
            granted, base = self.holding.granted + more, self.holding.base + more
            self.holding = msgspec.structs.replace(self.holding, granted=granted, base=base)
        is_busy = 0 <= now_s - self._busy_at < BUSY_S
        return ask(self.holding, fleet, used=used, needed=self._needed, is_busy=is_busy, now_s=now_s)

    def take(self, answer: Answer, now_s: float, now_ns: int) -> None:
        """Let the workers take what a store granted that is not young, and end the round."""
        self._hold(took(self.holding, answer, now_s=now_s))
        self._end(answer.retry_ms or _ALONE_RETRY_MS, now_ns)

    def go_alone(self, fleet: Fleet, now_s: float, now_ns: int, *, is_young: bool) -> None:
        """Let them take this host's part, as the store is away or has just begun, and end the round."""
        self._hold(alone(self.holding, fleet, used=self.used, now_s=now_s, is_young=is_young))
        self._end(_ALONE_RETRY_MS, now_ns)

    def give_back(self) -> None:
        """Keep no more than what is in use."""
        self._used_before, self._busy_at, self._asked_at = self.used, 0.0, 0.0
        back = max(0, self.holding.granted - self._used_before)
        given = back if self.holding.kind == "rate" else 0
        self._hold(msgspec.structs.replace(self.holding, granted=self.holding.granted - back, back=given))

    def _hold(self, holding: Holding) -> None:
        self.holding = holding
        if self.sheet.lease(OF_DAY) != holding.day:
            self.sheet.write_lease(GRANTED, 0)
            self.sheet.write_lease(OF_DAY, holding.day)
        if self.sheet.lease(GRANTED) != holding.granted:
            self.sheet.write_lease(GRANTED, holding.granted)

    def _end(self, retry_ms: int, now_ns: int) -> None:
        is_short = self.holding.granted - self.used < self._needed
        self.sheet.write_lease(RETRY_NS, now_ns + retry_ms * _MS_NS if is_short else 0)
        self.sheet.write_lease(ROUND, self.sheet.lease(ROUND) + 1)
