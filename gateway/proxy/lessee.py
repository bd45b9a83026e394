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

from gateway.proxy.allowances import leased_name
from gateway.proxy.leased import LeasedSheet
from gateway.proxy.leasehold import Leasehold
from gateway.proxy.memory import Memory, keep, remembered
from gateway.proxy.purse import nano
from gateway.proxy.snapshot import Holder
from gateway.settings.schema import Application
from rollout.holding import Fleet, Holding, joined
from rollout.lease import Ask, Kind, LeaseStore, Settled
from rollout.stores.ledger import StoreUnavailableError

BEAT_S = 0.5
"""How often a host speaks to the store though nobody asks for more."""
TRY_S = 0.1
"""How often the others look whether the host's lessee is gone."""
UNMET = 200
"""Of limits that no worker of the host has met yet, how many it looks at with each beat; of more, it takes turns."""
_PAUSE_S = 0.001
"""Between two rounds, however many ask."""

_ALARMS = {
    "store": "the fleet's limits are not leased; this host goes by its part",
    "disk": "this host's leases cannot be kept; what it holds is divided anew when it is restarted",
}
_RELIEFS = {"store": "the fleet's limits are leased again", "disk": "this host's leases are kept again"}

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
        self._limits: dict[tuple[Kind, str], Leasehold] = {}
        self._troubles: dict[str, str] = {}
        self._turn = 0

    def run(self, stop: threading.Event) -> None:
        """Speak for the host whenever nobody else does, until told to stop."""
        while not stop.wait(TRY_S):
            try:
                if (lock := self._board.lessee()) is not None:
                    self._speak(stop, lock)
            except OSError as error:
                self._note(disk=str(error))
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
        now_s = self._now()
        limits = [one for one in self._limits.values() if one.is_met and (one.is_wanted(now_s) or is_beat)]
        if is_beat:
            limits += self._unmet()
        elif not limits:
            return
        for one in limits:
            one.begin()
        settled = self._settled(store, [one.ask(self._fleet, now_s) for one in limits])
        self._take(limits, settled)
        if is_beat:
            self._keep()

    def leave(self, store: LeaseStore) -> None:
        """Give back what is not in use, as nobody may come back for it: a host that ends strands nothing."""
        for one in self._limits.values():
            one.give_back()
        self.round(store, is_beat=True)

    def _meet(self) -> None:
        """Take up the limits that this host's workers have met, as the configuration has them now."""
        limits: dict[tuple[Kind, str], Leasehold] = {}
        for kind, name, most in limits_of(self._holder.view.decisions.snapshot.applications):
            one = self._limits.get((kind, name))
            if one is None:
                one = Leasehold(self._kept.get((kind, name)) or Holding(kind=kind, name=name, limit=most))
            if not one.is_met and self._board.is_met(leased_name(kind, name)):
                sheet = self._board.leased(leased_name(kind, name))
                if sheet is not None:
                    one.meet(sheet)
            one.be_limited(most)
            limits[kind, name] = one
        self._limits = limits

    def _unmet(self) -> list[Leasehold]:
        """Return those to look at next, so that this host knows what is free of them when the store goes away."""
        unmet = [one for one in self._limits.values() if not one.is_met]
        self._turn = self._turn + UNMET if self._turn + UNMET < len(unmet) else 0
        return unmet[self._turn : self._turn + UNMET]

    def _take(self, limits: list[Leasehold], settled: Settled | None) -> None:
        now_s, now_ns = self._now(), time.monotonic_ns()
        if settled is None or settled.is_young:
            for one in limits:
                one.go_alone(self._fleet, now_s, now_ns, is_young=settled is not None)
        else:
            for one, answer in zip(limits, settled.answers, strict=True):
                one.take(answer, now_s, now_ns)

    def _settled(self, store: LeaseStore, asks: list[Ask]) -> Settled | None:
        """Return what the store says; None, which is logged once, when it is away."""
        try:
            settled = store.settle(self._host, asks)
        except StoreUnavailableError as error:
            self._note(store=str(error))
            return None
        self._note(store="")
        self._fleet = joined(self._fleet, settled, self._gateways)
        return settled

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
            self._note(disk=f"what this host holds cannot be kept: {error}")
        else:
            self._note(disk="")

    def _note(self, **troubles: str) -> None:
        """Say once what is wrong with the store or the disk, or that it is over."""
        for place, trouble in troubles.items():
            before, self._troubles[place] = self._troubles.get(place, ""), trouble
            if trouble and not before:
                _log.error(_ALARMS[place], extra={"reason": trouble})
            elif before and not trouble:
                _log.warning(_RELIEFS[place])


def limits_of(applications: dict[str, Application]) -> Iterator[tuple[Kind, str, int]]:
    """Yield every limit of a fleet: kind, name, and how much in slots, tokens per minute or nano-USD per day."""
    for name, application in applications.items():
        if application.max_concurrent is not None:
            yield "slots", f"application:{name}", application.max_concurrent
        if application.requests_per_minute is not None:
            yield "rate", f"application:{name}", application.requests_per_minute
            yield "rate", f"feedback:{name}", application.requests_per_minute
            yield "rate", f"evaluation:{name}", application.requests_per_minute
        if application.daily_cost_usd is not None:
            yield "cost", f"cost:{name}", nano(application.daily_cost_usd)
