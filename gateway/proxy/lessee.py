"""A host's one voice: it leases parts of the fleet's limits for all workers of the host, and says what they hold.

Law: of all workers' threads that run this, the one with the lock alone speaks and writes leases. Requests wait for a
round of it at most, never for the store. What the host holds is kept in a file, so that whoever has the lock next goes
on from there; while the store is away, the host goes by its own part, and nothing is ever without a limit.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from gateway.proxy.allowances import leased_name
from gateway.proxy.leased import GRANTED, OF_DAY, RETRY_NS, ROUND, LeasedSheet, used_of
from gateway.proxy.limits import ROW_CELLS
from gateway.proxy.memory import Memory, keep, remembered
from gateway.proxy.purse import nano
from gateway.proxy.snapshot import Holder
from gateway.settings.schema import Application
from rollout.holding import Fleet, Holding, alone, ask, eased, joined, took
from rollout.lease import Answer, Ask, Kind, LeaseStore, Settled
from rollout.stores.ledger import StoreUnavailableError

BEAT_S = 0.5
"""How often a host speaks to the store though nobody asks for more."""
TRY_S = 0.1
"""How often the others look whether the host's lessee is gone."""
IDLE_S = 0.5
"""A limit that nobody asked for more of for so long has its idle part given back."""
UNMET = 200
"""Of limits that no worker of the host has met yet, how many it looks at with each beat; of more, it takes turns."""
BUSY_S = 1.0
"""For so long after its use changed, a limit is leased ahead of those who ask."""
_PAUSE_S = 0.001
"""Between two rounds, however many ask."""
_ALONE_RETRY_MS = 500
_MS_NS = 1_000_000

_log = logging.getLogger("turnout.proxy")


class LesseeBoard(Protocol):
    """Where a host's workers share leases, as their lessee sees it."""

    def leased(self, name: str) -> LeasedSheet | None:
        """Return a limit's cells; None when they cannot be shared now."""
        ...

    def is_met(self, name: str) -> bool:
        """Tell whether any worker of this host has met the limit of this name."""
        ...

    def poked(self, within_s: float) -> None:
        """Wait until more of some lease is wanted, or so long."""
        ...

    def poke(self) -> None:
        """End such a wait."""
        ...

    def lessee(self) -> int | None:
        """Become the lessee until the file that is returned is closed; None while another process is."""
        ...


class _Limit(msgspec.Struct, kw_only=True):
    """One limit of the fleet in this host's hands; its sheet is nobody's until a worker has met the limit.

    `asked_at` is when somebody waited for more of it last, `busy_at` when its use was seen to change.
    """

    holding: Holding
    sheet: LeasedSheet
    needed: int = 0
    asked_at: float = 0.0
    busy_at: float = 0.0
    is_met: bool = True
    used_before: int = 0

    def used(self) -> int:
        return used_of(self.sheet, self.holding.kind, self.holding.day)


class Lessee:
    """The thread of one worker that speaks for its host whenever no other does.

    `host` is the name of this host for one that has none yet. `gateways` is the largest number of hosts.
    """

    def __init__(
        self,
        board: LesseeBoard,
        holder: Holder,
        store: Callable[[], LeaseStore],
        file: Path,
        host: str,
        gateways: int,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._holder = holder
        self._store = store
        self._file = file
        self._host = host
        self._gateways = gateways
        self._now = now
        self._fleet = Fleet(hosts=gateways)
        self._kept: dict[tuple[Kind, str], Holding] = {}
        self._limits: dict[tuple[Kind, str], _Limit] = {}
        self._trouble = ""
        self._turn = 0

    def run(self, stop: threading.Event) -> None:
        """Speak for the host whenever nobody else does, until told to stop."""
        while not stop.wait(TRY_S):
            try:
                if (lock := self._board.lessee()) is not None:
                    self._speak(stop, lock)
            except OSError as error:
                self._note(str(error))
            except Exception:  # noqa: BLE001 - the thread's outermost loop: logged, and taken up again
                _log.exception("the lessee of this host's limits failed; it begins anew")

    def end(self) -> None:
        """End a wait of `run`, which was told to stop."""
        self._board.poke()

    def _speak(self, stop: threading.Event, lock: int) -> None:
        store = self._store()
        try:
            self._remember()
            beat_at = 0.0
            while not stop.is_set():
                is_beat = time.monotonic() >= beat_at
                self.round(store, is_beat=is_beat)
                if is_beat:
                    beat_at = time.monotonic() + BEAT_S
                time.sleep(_PAUSE_S)
                self._board.poked(max(0.0, beat_at - time.monotonic()))
            self.leave(store)
        finally:
            store.close()
            os.close(lock)

    def round(self, store: LeaseStore, *, is_beat: bool) -> None:
        """Hold one conversation: about all limits on a beat, else about those that somebody waits for."""
        self._meet()
        limits = [one for one in self._limits.values() if one.is_met and (self._look_at(one) or is_beat)]
        if is_beat:
            limits += self._unmet()
        elif not limits:
            return
        for one in limits:
            one.sheet.write_lease(ROUND, one.sheet.lease(ROUND) // 2 * 2 + 1)
        asks = [self._ask(one) for one in limits]
        settled = self._settled(store, asks)
        for at, one in enumerate(limits):
            self._take(one, settled, None if settled is None else settled.answers[at])
            one.sheet.write_lease(ROUND, one.sheet.lease(ROUND) + 1)
        if is_beat:
            self._keep()

    def leave(self, store: LeaseStore) -> None:
        """Give back what is not in use, as nobody may come back for it: a host that ends strands nothing."""
        for one in self._limits.values():
            if one.is_met and one.holding.kind != "rate":
                one.used_before, one.busy_at = one.used(), 0.0
                one.holding = msgspec.structs.replace(one.holding, granted=min(one.holding.granted, one.used_before))
                _write(one)
        self.round(store, is_beat=True)

    def _meet(self) -> None:
        """Take up the limits that this host's workers have met, as the configuration has them now."""
        limits: dict[tuple[Kind, str], _Limit] = {}
        for kind, name, most in limits_of(self._holder.view.decisions.snapshot.applications):
            one = self._limits.get((kind, name))
            if one is None:
                holding = self._kept.get((kind, name)) or Holding(kind=kind, name=name, limit=most)
                one = _Limit(holding=holding, sheet=_nobodys(), is_met=False)
            if not one.is_met and self._board.is_met(leased_name(kind, name)):
                self._take_up(one)
            if one.holding.limit != most:
                one.holding = msgspec.structs.replace(one.holding, limit=most)
            limits[kind, name] = one
        self._limits = limits

    def _take_up(self, one: _Limit) -> None:
        """Go on from what the workers of this host go by, which may be newer than what was kept."""
        sheet = self._board.leased(leased_name(one.holding.kind, one.holding.name))
        if sheet is None:
            return
        one.sheet, one.is_met = sheet, True
        is_told = one.holding.kind != "rate" or sheet.lease(GRANTED)
        if is_told and sheet.lease(OF_DAY) >= one.holding.day:
            one.holding = msgspec.structs.replace(one.holding, granted=sheet.lease(GRANTED), day=sheet.lease(OF_DAY))

    def _unmet(self) -> list[_Limit]:
        """Return those to look at next, so that this host knows what is free of them when the store goes away."""
        unmet = [one for one in self._limits.values() if not one.is_met]
        self._turn = self._turn + UNMET if self._turn + UNMET < len(unmet) else 0
        return unmet[self._turn : self._turn + UNMET]

    def _look_at(self, one: _Limit) -> bool:
        """Look whether more is wanted; tell."""
        one.needed = one.sheet.wanted
        if one.needed:
            one.asked_at = self._now()
        return one.needed > 0

    def _ask(self, one: _Limit) -> Ask:
        now_s = self._now()
        if one.needed or one.used() != one.used_before:
            one.busy_at, one.used_before = now_s, one.used()
        if not 0 <= now_s - one.asked_at < IDLE_S:
            one.holding = eased(one.holding, self._fleet, one.used())
            _write(one)
        if one.holding.kind == "cost" and (more := one.used() - one.holding.granted) > 0:
            # Requests cost more than their ceiling: nobody granted it, and it was spent.
            spent = msgspec.structs.replace(
                one.holding, granted=one.holding.granted + more, base=one.holding.base + more
            )
            one.holding = spent
        is_busy = 0 <= now_s - one.busy_at < BUSY_S
        return ask(one.holding, self._fleet, used=one.used(), needed=one.needed, is_busy=is_busy, now_s=now_s)

    def _settled(self, store: LeaseStore, asks: list[Ask]) -> Settled | None:
        """Return what the store says; None, which is logged once, when it is away."""
        try:
            settled = store.settle(self._host, asks)
        except StoreUnavailableError as error:
            self._note(str(error))
            return None
        self._note("")
        self._fleet = joined(self._fleet, settled, self._gateways)
        return settled

    def _take(self, one: _Limit, settled: Settled | None, answer: Answer | None) -> None:
        now_s, retry_ms = self._now(), _ALONE_RETRY_MS
        if settled is None or answer is None or settled.is_young:
            is_young = settled is not None
            one.holding = alone(one.holding, self._fleet, used=one.used(), now_s=now_s, is_young=is_young)
        else:
            one.holding = took(one.holding, answer, now_s=now_s)
            retry_ms = answer.retry_ms or _ALONE_RETRY_MS
        _write(one)
        is_short = one.holding.granted - one.used() < one.needed
        one.sheet.write_lease(RETRY_NS, time.monotonic_ns() + retry_ms * _MS_NS if is_short else 0)

    def _remember(self) -> None:
        """Go on from what the lessee before has kept."""
        self._limits = {}
        memory = remembered(self._file) or Memory(host=self._host, fleet=self._fleet)
        self._host, self._fleet = memory.host, memory.fleet
        self._kept = {(one.kind, one.name): one for one in memory.holdings}

    def _keep(self) -> None:
        holdings = tuple(one.holding for one in self._limits.values())
        try:
            keep(self._file, Memory(host=self._host, fleet=self._fleet, holdings=holdings))
        except OSError as error:
            self._note(f"what this host holds cannot be kept: {error}")

    def _note(self, trouble: str) -> None:
        """Say once what is wrong, or that it is over."""
        if trouble and not self._trouble:
            _log.error("the fleet's limits are not leased; this host goes by its part", extra={"reason": trouble})
        elif self._trouble and not trouble:
            _log.warning("the fleet's limits are leased again")
        self._trouble = trouble


def limits_of(applications: dict[str, Application]) -> Iterator[tuple[Kind, str, int]]:
    """Yield every limit of a fleet: kind, name, and how much in slots, tokens per minute or nano-USD per day."""
    for name, application in applications.items():
        if application.max_concurrent is not None:
            yield "slots", f"application:{name}", application.max_concurrent
        if application.requests_per_minute is not None:
            yield "rate", f"application:{name}", application.requests_per_minute
            yield "rate", f"feedback:{name}", application.requests_per_minute
        if application.daily_cost_usd is not None:
            yield "cost", f"cost:{name}", nano(application.daily_cost_usd)


def _nobodys() -> LeasedSheet:
    return LeasedSheet([0] * (2 * ROW_CELLS), 0, [1], 1)


def _write(one: _Limit) -> None:
    """Let the workers take what the host holds; of another day, nothing before the day is written."""
    sheet, holding = one.sheet, one.holding
    if sheet.lease(OF_DAY) != holding.day:
        sheet.write_lease(GRANTED, 0)
        sheet.write_lease(OF_DAY, holding.day)
    if sheet.lease(GRANTED) != holding.granted:
        sheet.write_lease(GRANTED, holding.granted)
