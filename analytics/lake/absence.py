"""How a shipper bears a store that is away: asks again for ever, less and less often, and says how far it is behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from analytics.journal.segment import segments

Log = Callable[[str, str, dict[str, object]], None]
"""Takes a level, an event and its fields."""

LONGEST_PAUSE_S = 30.0
_SPREAD = 0.25


class Absence:
    """Whether the store is away, and what waits in `journal` meanwhile; `monotonic` gives seconds."""

    def __init__(self, journal: Path, log: Log, monotonic: Callable[[], float]) -> None:
        self._journal, self._log, self._monotonic = journal, log, monotonic
        self._refusals = 0
        self._since_s = 0.0

    @property
    def is_on(self) -> bool:
        """Tell whether the store was away when it was asked last."""
        return self._refusals > 0

    def go_on(self, error: OSError) -> None:
        """Note that the store refused once more; it is said every time, which is seldom."""
        if not self.is_on:
            self._since_s = self._monotonic()
        self._refusals += 1
        self._log("error", "store_away", {"reason": str(error), **self._lag()})

    def end(self) -> None:
        """Note that the store answers."""
        if self.is_on:
            self._log("info", "store_back", self._lag())
        self._refusals = 0

    def pause_s(self, usual_s: float) -> float:
        """Return how long to wait before the next tick: longer after each refusal, and not the same on all hosts."""
        if not self.is_on:
            return usual_s
        longer = min(usual_s * 2 ** min(self._refusals, 16), max(LONGEST_PAUSE_S, usual_s))
        return longer * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret, only no two alike

    def _lag(self) -> dict[str, object]:
        waiting = segments(self._journal)
        sizes = [_size_bytes(self._journal / name.file_name) for name in waiting]
        away_s = round(self._monotonic() - self._since_s, 1)
        return {"away_s": away_s, "waiting_segments": len(waiting), "waiting_bytes": sum(sizes)}


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
