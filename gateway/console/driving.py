"""Keeps the controller going beside the API: its pulse, what people are told of it, and an alarm when it falls silent.

A stop waits for a tick a short while, then breaks it off: the ledger has all of a tick or nothing, and the next console
begins it anew. The law: only the ledger's writer decides. Any console that sees the ledger notices when nobody does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar

from analytics.lake.place import Place
from gateway.console.deciding import Deciding
from gateway.console.gathering import Gathering
from gateway.console.installation import Installation, now_us
from gateway.console.measuring import BrokenOffError
from rollout.announcing import notice_of
from rollout.change import Held, State
from rollout.durations import spoken
from rollout.notice import Announce, Notice, What
from rollout.progress import WATCHED
from rollout.stores.ledger import Ledger, LedgerError

EVIDENCE = "evidence.duckdb"
"""In the state directory."""
PULSE_S = 0.5
PATIENCE_S = 2.0
"""A tick under way may last so long after the console was told to end; most take a tenth of a second."""
_AGAIN_S = 0.1
SILENT_S = 300.0
"""So long after the last tick of a rollout people are told that nobody decides; five whole ticks."""
HANGING_S = 10.0
"""A controller whose last pulse ended so long ago is in one that lasts, or dead: its sign of life is what is missed."""
LATE_US = 3_600_000_000
"""What happened longer ago than this when a console starts was told, or is too old to be told."""
_ENTRIES = 200

_log = logging.getLogger("turnout.console")


class Telling:
    """Tells of what the audit has that it had not at the last look; of the last hour's at the first one.

    Whatever was told before a restart is told again: who delivers it knows it by its identity.
    """

    def __init__(self, ledger: Ledger, announce: Announce, *, wall_us: Callable[[], int]) -> None:
        self._ledger, self._announce, self._wall_us = ledger, announce, wall_us
        self._told: int | None = None
        self._seen: tuple[int, int] | None = None

    def look(self) -> None:
        """Tell of what is new.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        state = self._ledger.state()
        if (state.epoch, state.version) == self._seen:
            return
        entries = self._ledger.entries(limit=_ENTRIES)
        since = self._wall_us() - LATE_US if self._told is None else None
        for entry in reversed(entries):
            is_new = entry.at >= since if since is not None else entry.number > (self._told or 0)
            if is_new and (notice := notice_of(entry)) is not None:
                self._announce.announce(notice)
        self._told = entries[0].number if entries else 0
        self._seen = (state.epoch, state.version)


class Silence:
    """Notices, by a monotonic clock, that a rollout under way was not looked at for long, and that it is again.

    A controller that has fallen silent as a whole is not its business: who watches the sign of life tells of that.
    """

    def __init__(self, announce: Announce, *, monotonic_s: Callable[[], float], wall_us: Callable[[], int]) -> None:
        self._announce, self._monotonic_s, self._wall_us = announce, monotonic_s, wall_us
        self._ticks: dict[str, tuple[tuple[int, int, int], float]] = {}
        self._silent: dict[str, int] = {}
        self._beat_s: float | None = None

    def beat(self) -> None:
        """Note that the controller lives, whatever it decided."""
        self._beat_s = self._monotonic_s()

    def look(self, state: State) -> None:
        """Compare with the last look."""
        now_s = self._monotonic_s()
        watched = {name: held for name, held in state.rollouts.items() if _is_watched(held)}
        self._ticks = {name: seen for name, seen in self._ticks.items() if name in watched}
        for name, held in watched.items():
            at = (held.flag.generation, held.flag.step, held.progress.ticks)
            before = self._ticks.get(name)
            if before is None or before[0] != at:
                self._ticks[name] = (at, now_s)
                if before is not None and self._silent.pop(name, None) is not None:
                    self._tell("controller_back", name, f"{name}: the controller decides again")
            elif now_s - before[1] >= SILENT_S and name not in self._silent and not self._is_hanging(now_s):
                self._silent[name] = self._wall_us()
                silent = spoken(now_s - before[1])
                words = f"{name}: the controller has been silent for {silent}, so nothing is promoted or rolled back"
                self._tell("controller_silent", name, f"{words}; look at the console's log")

    def _is_hanging(self, now_s: float) -> bool:
        return self._beat_s is not None and now_s - self._beat_s >= HANGING_S

    def _tell(self, what: What, name: str, words: str) -> None:
        at = self._wall_us()
        _log.error("the controller was silent" if what == "controller_silent" else "the controller is back")
        self._announce.announce(Notice(what=what, words=words, at=at, rollout=name, mark=str(at)))


class Driving:
    """The controller's lifespan; `may` tells whether this console decides. In the end it calls `close`.

    `break_off` lets a tick under way end by an error; it is called until that has ended.
    `beat` is its sign of life: called after each pulse, also where another console decides.
    """

    def __init__(
        self,
        deciding: Deciding,
        telling: Telling,
        silence: Silence,
        ledger: Ledger,
        *,
        may: Callable[[], bool],
        pulse_s: float = PULSE_S,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._close = close
        self.break_off: Callable[[], None] = lambda: None
        self._deciding, self._ledger, self._may, self._pulse_s = deciding, ledger, may, pulse_s
        self.beat: Callable[[], None] = lambda: None
        self._telling, self._silence = telling, silence

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncGenerator[None]:
        """Decide, tell and listen until the block ends; then a tick that is under way ends, or is broken off."""
        tasks = [
            asyncio.create_task(self._again(self.decide), name="decide"),
            asyncio.create_task(self._again(self.listen), name="listen-for-controller"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            left = (await asyncio.wait(tasks, timeout=PATIENCE_S))[1]
            while left:
                self.break_off()
                left = (await asyncio.wait(left, timeout=_AGAIN_S))[1]
            self._close()

    def decide(self) -> None:
        """Do what is due, and tell of it."""
        if self._may():
            self._deciding.pulse()
            self._telling.look()
        self._silence.beat()
        self.beat()

    def listen(self) -> None:
        """Notice silence."""
        self._silence.look(self._ledger.state())

    async def _again(self, act: Callable[[], None]) -> None:
        trouble: str | None = None
        while True:
            await asyncio.sleep(self._pulse_s)
            try:
                await _whole(act)
                trouble = None
            except LedgerError as error:
                if str(error) != trouble:
                    _log.error("the controller cannot read the ledger; it goes on", extra={"reason": str(error)})
                trouble = str(error)
            except Exception:  # noqa: BLE001 - the task's outermost loop: said, and it goes on
                _log.exception("the controller failed; it goes on")


def driven(
    installation: Installation, lake: Place, state_dir: Path, announce: Announce, may: Callable[[], bool]
) -> Driving:
    """Return the controller of an installation, which gathers its evidence from this lake."""
    gathering = Gathering(lake, state_dir / EVIDENCE, clock=now_us)
    steering, ledger = installation.control.steering, installation.ledger
    if not ledger.read_only:
        steering.measuring = gathering
    driving = Driving(
        Deciding(steering, ledger, announce, monotonic_s=time.monotonic, wall_us=now_us),
        Telling(ledger, announce, wall_us=now_us),
        Silence(announce, monotonic_s=time.monotonic, wall_us=now_us),
        ledger,
        may=may,
        close=gathering.close,
    )
    driving.break_off = gathering.break_off
    return driving


async def _whole(act: Callable[[], None]) -> None:
    """Run in a thread, to its end even when the waiting is over: what it uses is closed behind it."""
    working = asyncio.create_task(asyncio.to_thread(act))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        error = working.exception()
        if isinstance(error, LedgerError):
            _log.error("the controller could not read the ledger as it ended", extra={"reason": str(error)})
        elif not isinstance(error, BrokenOffError | None):
            _log.error("the controller failed as it ended", exc_info=error)
        raise


def _is_watched(held: Held) -> bool:
    return held.progress.standing in WATCHED and not held.retired
