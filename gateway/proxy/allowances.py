"""What an application may take of its host, or of its fleet: so much at once, in a minute, of a day's cost.

Law: what was taken stands in the request's entry from the same moment on. Nobody waits, but for a lease of a fleet's
limit that is used up just now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.errors import DailyCostError, RateLimitedError
from gateway.proxy.entry import Clock, Entry
from gateway.proxy.leased import OF_DAY, RETRY_NS, LeasedBucket, LeasedSheet
from gateway.proxy.leases import Leases
from gateway.proxy.limits import Bucket, Sheet, Slots
from gateway.proxy.purse import DAY_S, Aside, Purse, nano
from gateway.proxy.snapshot import Caller
from rollout.lease import Kind

Ticket = asyncio.Future[None]
_LONG_NS = 60_000_000_000


class Allowances:
    """One worker's hold on the limits of applications.

    `sheet_of` gives the cells of a limit of the host; where there are `leases`, the limits are the fleet's. `now_ns` is
    the host's monotonic clock, `today` gives seconds since 1970, UTC.
    """

    def __init__(
        self, sheet_of: Callable[[str], Sheet], now_ns: Callable[[], int], today: Clock, leases: Leases | None = None
    ) -> None:
        self._sheet_of = sheet_of
        self._now_ns = now_ns
        self._today = today
        self._leases = leases
        self._slots: dict[str, Slots[Ticket]] = {}
        self._buckets: dict[str, Bucket | LeasedBucket] = {}
        self._purses: dict[str, Purse] = {}

    @property
    def taken(self) -> int:
        """Return how many requests of applications with a limit of them are under way here."""
        return sum(slots.taken for slots in self._slots.values())

    async def count(self, caller: Caller, entry: Entry, *, pays: bool = True) -> None:
        """Hold an application to its own limits; one that does not pay costs nothing.

        Raises:
            RateLimitedError: it has sent too many in the last minute, or has too many under way.
            DailyCostError: what it spent today and what its requests under way may cost leave no room for this one.
        """
        application = caller.application
        if (limit := application.max_concurrent) is not None:
            slots = self._slots_of(caller.name)
            if not self._take_slot(slots, limit, entry):
                take = partial(self._take_slot, slots, limit, entry)
                if not await self._more(slots.sheet, 1, take):
                    message = f"The application {caller.name!r} may have {limit} requests under way at once; try again."
                    raise RateLimitedError(message, error_class="application_concurrency")
        if pays and application.daily_cost_usd is not None:
            await self._set_aside(caller, application.daily_cost_usd, entry)
        if (rate := application.requests_per_minute) is not None:
            wait_s = await self._take_token("application", caller.name, rate)
            if wait_s > 0:
                message = f"The application {caller.name!r} may send {rate} requests per minute; this one is too many."
                raise RateLimitedError(message, retry_after_s=wait_s)

    async def count_feedback(self, caller: Caller) -> None:
        """Hold an application's feedback to the rate of its requests, counted apart: neither uses up the other's.

        Raises:
            RateLimitedError: it has sent too much in the last minute.
        """
        await self._count_apart("feedback", "send feedback", caller)

    async def count_evaluation(self, caller: Caller) -> None:
        """Hold an application's evaluations of flags to the rate of its requests, counted apart as its feedback is.

        Raises:
            RateLimitedError: it has asked too often in the last minute.
        """
        await self._count_apart("evaluation", "evaluate flags", caller)

    async def _count_apart(self, what: str, act: str, caller: Caller) -> None:
        if (rate := caller.application.requests_per_minute) is not None:
            wait_s = await self._take_token(what, caller.name, rate)
            if wait_s > 0:
                message = f"The application {caller.name!r} may {act} {rate} times per minute; this is too often."
                raise RateLimitedError(message, retry_after_s=wait_s)

    def _take_slot(self, slots: Slots[Ticket], limit: int, entry: Entry) -> bool:
        if not slots.take(limit, self._now_ns()):
            return False
        entry.held += (slots,)
        return True

    async def _take_token(self, what: str, name: str, rate: int) -> float:
        """Take a token and return 0.0, or return the seconds until there may be one."""
        bucket = self._bucket_of(f"{what}:{name}")
        wait_s = bucket.take(rate, self._now_ns())
        if wait_s > 0 and self._leases is not None:
            if await self._leases.more(bucket.sheet, 1, lambda: bucket.take(rate, self._now_ns()) == 0.0):
                return 0.0
            return bucket.take(rate, self._now_ns())
        return wait_s

    async def _set_aside(self, caller: Caller, cap_usd: float, entry: Entry) -> None:
        purse, cap = self._purse_of(caller.name), nano(cap_usd)
        ceiling = nano(caller.application.unknown_cost_usd or cap_usd)
        if self._take_cost(purse, ceiling, cap, entry):
            return
        if await self._more(purse.sheet, ceiling, partial(self._take_cost, purse, ceiling, cap, entry)):
            return
        spender, whole = f"application {caller.name!r}", f"its daily_cost_usd of {cap_usd:g}"
        if purse.may_come_back(ceiling, cap, self._day(purse)) or self._is_unsure(purse.sheet):
            message = f"What the {spender} has under way, or may still lease, is all the rest of {whole}; try again."
            raise DailyCostError(message)
        message = f"The {spender} has used up {whole}; try again after midnight (UTC)."
        raise DailyCostError(message, retry_after_s=DAY_S - self._today() % DAY_S, is_over=True)

    def _take_cost(self, purse: Purse, ceiling: int, cap: int, entry: Entry) -> bool:
        day = self._day(purse)
        if not purse.set_aside(ceiling, cap, day):
            return False
        entry.held += (Aside(purse, ceiling, day, entry.exchange),)
        return True

    def _is_unsure(self, sheet: Sheet) -> bool:
        """Tell whether the fleet may have more before midnight than this host was granted, as far as the host knows."""
        return isinstance(sheet, LeasedSheet) and sheet.lease(RETRY_NS) - self._now_ns() < _LONG_NS

    def _day(self, purse: Purse) -> int:
        """Return the day by this host's clock, or the one that a lease is of."""
        if isinstance(purse.sheet, LeasedSheet):
            return purse.sheet.lease(OF_DAY)
        return int(self._today() // DAY_S)

    async def _more(self, sheet: Sheet, amount: int, take: Callable[[], bool]) -> bool:
        return self._leases is not None and await self._leases.more(sheet, amount, take)

    def _slots_of(self, name: str) -> Slots[Ticket]:
        if (slots := self._slots.get(name)) is None:
            slots = self._slots[name] = Slots(self._sheet("slots", f"application:{name}"))
        return slots

    def _bucket_of(self, name: str) -> Bucket | LeasedBucket:
        if (bucket := self._buckets.get(name)) is None:
            sheet = self._sheet("rate", name)
            bucket = LeasedBucket(sheet) if isinstance(sheet, LeasedSheet) else Bucket(sheet)
            self._buckets[name] = bucket
        return bucket

    def _purse_of(self, name: str) -> Purse:
        if (purse := self._purses.get(name)) is None:
            purse = self._purses[name] = Purse(self._sheet("cost", f"cost:{name}"))
        return purse

    def _sheet(self, kind: Kind, name: str) -> Sheet:
        """Return a limit's cells: what the host leased of it, or what it has for itself."""
        leased = self._leases.sheet(leased_name(kind, name)) if self._leases is not None else None
        return leased or self._sheet_of(name)


def leased_name(kind: Kind, name: str) -> str:
    """Return what a host calls its lease of a limit."""
    return f"fleet {kind} {name}"
