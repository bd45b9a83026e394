"""What an application's requests cost in a day, held to a cap that a host's workers share. Pure.

Law: a request sets its ceiling aside before it starts, so that what was spent and what may still be spent never exceed
the cap together; at its end the ceiling gives way to what it cost. What nobody knows is charged at the ceiling.

Amounts are whole nano-USD. Of each day, a worker's row on the sheet holds what that worker charged, set aside or spent;
two days have room beside each other, so that neither begins with a part of the other's.
"""

from __future__ import annotations

from analytics.record import Attempt, Record
from gateway.proxy.attempts import Failure
from gateway.proxy.exchange import Exchange
from gateway.proxy.limits import TRIES, WAITING, Sheet

NANO = 1_000_000_000
"""In a dollar."""
DAY_S = 86_400
UNDER_WAY = WAITING
"""How much of what is charged is only set aside. It ends with its worker; what is charged does not."""
CHARGED, DAY = 4, 6
"""The first of two cells each, one for even days (since 1970, UTC) and one for odd ones."""

_REFUSED = 400


def nano(usd: float) -> int:
    """Return an amount that is above 0 in nano-USD: at least one."""
    return max(1, round(usd * NANO))


class Purse:
    """One application's day, as one worker sees it."""

    __slots__ = ("sheet",)

    def __init__(self, sheet: Sheet | None = None) -> None:
        self.sheet = sheet or Sheet.private()

    def set_aside(self, amount: int, cap: int, day: int) -> bool:
        """Charge this amount, unless all workers' charges of the day would exceed the cap with it."""
        sheet, at, cap = self.sheet, CHARGED + day % 2, self.sheet.part(cap)
        if sheet.own(DAY + day % 2) != day:
            sheet.write(at, 0)
            sheet.write(DAY + day % 2, day)
        mine = sheet.own(at)
        for _ in range(TRIES):
            if self.charged(day) + amount > cap:
                return False
            sheet.write(at, mine + amount)
            if self.charged(day) <= cap:
                sheet.write(UNDER_WAY, sheet.own(UNDER_WAY) + amount)
                return True
            sheet.write(at, mine)
        return False

    def settle(self, amount: int, spent: int, day: int) -> None:
        """Charge what was spent instead of what was set aside on that day."""
        sheet, at = self.sheet, CHARGED + day % 2
        sheet.write(UNDER_WAY, sheet.own(UNDER_WAY) - amount)
        if sheet.own(DAY + day % 2) == day:
            sheet.write(at, sheet.own(at) - amount + spent)

    def charged(self, day: int) -> int:
        """Return what all workers have charged on a day, set aside or spent."""
        days = zip(self.sheet.column(CHARGED + day % 2), self.sheet.column(DAY + day % 2), strict=True)
        return sum(charged for charged, of_day in days if of_day == day)

    def may_come_back(self, amount: int, cap: int, day: int) -> bool:
        """Tell whether there would be room for this amount if nothing that is under way cost anything."""
        return self.charged(day) - sum(self.sheet.column(UNDER_WAY)) + amount <= self.sheet.part(cap)


class Aside:
    """What one request has set aside, until it is recorded with what it cost."""

    __slots__ = ("_amount", "_day", "_exchange", "_purse")

    def __init__(self, purse: Purse, amount: int, day: int, exchange: Exchange) -> None:
        self._purse = purse
        self._amount = amount
        self._day = day
        self._exchange = exchange

    def give_back(self, _: int) -> tuple[()]:
        """Charge what the request cost; nobody waits in line for it."""
        self._purse.settle(self._amount, owed(self._exchange.record, self._amount), self._day)
        return ()


def owed(record: Record | None, ceiling: int) -> int:
    """Return what a request is charged: all its tries.

    Where the cost of one is unknown: the ceiling, or what is known if that is more. A try that was refused or could not
    be connected is billed by nobody.
    """
    if record is None:
        return ceiling
    known = sum(round(one.cost_usd * NANO) for one in record.attempts if one.cost_usd is not None)
    if any(one.cost_usd is None and not _is_free(one, record) for one in record.attempts):
        return max(known, ceiling)
    return known


def _is_free(attempt: Attempt, record: Record) -> bool:
    failure = Failure(outcome=record.outcome, error_class=attempt.error_class or "", status=attempt.status or 0)
    return failure.is_free and (failure.status >= _REFUSED or record.ttft_ms is None)
