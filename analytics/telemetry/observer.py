"""Measure what a host's journals record and its workers and shipper tell: the one place where all of it comes together.

The law: measuring never stands in the way of shipping. It reads on its own, it fails on its own, and what it cannot
tell is counted. A record is counted when it is read from the journal, whether the lake is there or not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from analytics.content import Content
from analytics.feedback import Feedback
from analytics.journal.segment import SegmentName, segments
from analytics.journal.status import SOURCES
from analytics.logline import trace
from analytics.record import Frame, Opened, Record
from analytics.telemetry import names
from analytics.telemetry.exposition import exposition
from analytics.telemetry.known import KnownModels
from analytics.telemetry.lag import Lag
from analytics.telemetry.measures import Measures
from analytics.telemetry.pages import Pages
from analytics.telemetry.series import Family
from analytics.telemetry.tail import Tail
from analytics.telemetry.tick import tick_family

Log = Callable[[str, str, dict[str, object]], None]
"""Takes a level, an event and its fields."""
POSITIONS = "telemetry.positions"
_S = 1 / 1_000_000


class Observer:
    """What is measured on one host whose state directory this is; `clock` gives microseconds since 1970 UTC.

    The shipper calls `look`, `sealed` and `interrupted`, whoever scrapes `page`: from any thread.
    """

    def __init__(self, state_dir: Path, clock: Callable[[], int], log: Log) -> None:
        self._journal, self._clock, self._log = state_dir / "journal", clock, log
        self._failures = 0
        self._known = KnownModels(state_dir / "run")
        self._measures = Measures(self._known.label)
        self._run = state_dir / "run"
        self._pages = Pages(self._run, SOURCES)
        self._lag = Lag()
        self._tail = Tail(self._journal, self._journal / POSITIONS, self._take)
        self._came_at: dict[SegmentName, int] = {}
        self._busy = threading.Lock()
        self.ask_shipper: Callable[[], Sequence[Family]] = tuple
        self.tell: Callable[[Record], None] = lambda _: None
        """Hears of every record once, as it is counted."""

    def look(self) -> None:
        """Read what is new in the journal, before any of it is removed."""
        with self._busy, self._apart():
            self._look()

    def _look(self) -> None:
        present = segments(self._journal)
        self._known.refresh()
        before = {name: place.end for name, place in self._tail.places.items()}
        self._came_at.clear()
        self._tail.look(present)
        for name, place in self._tail.places.items():
            start = before.get(name, place.start)
            if place.end > start:
                self._lag.read(name, start, place.end, self._came_at.get(name, self._clock()))
        self._lag.keep(present)

    def sealed(self, boot: tuple[str, str], ends: Mapping[int, int]) -> None:
        """Note up to where a boot's segments, by number, are in the lake."""
        with self._busy, self._apart():
            for number, end in ends.items():
                self._lag.sealed(SegmentName(*boot, number), end)

    def interrupted(self, records: Sequence[Record]) -> None:
        """Count requests that were opened and never closed."""
        with self._busy, self._apart():
            for record in records:
                self._count(record)

    def page(self) -> str:
        """Return all there is to tell at this moment, as Prometheus reads it."""
        with self._busy:
            self._look()
            return exposition(self._families())

    def refresh(self) -> list[Family]:
        """Return the same as values that change no more."""
        with self._busy:
            self._look()
            return [family.copy() for family in self._families()]

    def label(self, model: str) -> str:
        """Return the name under which a model is told."""
        return self._known.label(model)

    def close(self) -> None:
        """Let go of the journal."""
        with self._busy:
            self._tail.close()

    @contextmanager
    def _apart(self) -> Generator[None]:
        """Let no failure of measuring reach the shipper."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, records are shipped; it is logged once, and counted
            if not self._failures:
                self._log("error", "measuring_failed", {"exception": type(error).__name__, "traceback": trace(error)})
            self._failures += 1

    def _take(self, frame: Frame, name: SegmentName) -> None:
        if isinstance(frame, Record):
            self._count(frame)
        elif isinstance(frame, Feedback):
            self._measures.take_feedback(frame)
        if name not in self._came_at:
            self._came_at[name] = _moment(frame)

    def _count(self, record: Record) -> None:
        self._measures.take(record)
        self.tell(record)

    def _families(self) -> list[Family]:
        pages = [*self._pages.families(self._clock()), tick_family(self._run)]
        return [*self._measures.families(), *pages, *self._of_shipper()]

    def _of_shipper(self) -> list[Family]:
        oldest_at = self._lag.oldest_at
        age_s = 0.0 if oldest_at is None else max(self._clock() - oldest_at, 0) * _S
        troubles = (
            *(("journal", self._tail.troubles), ("status_page", self._pages.troubles)),
            ("measuring", self._failures),
        )
        return [
            Family(names.LAG_BYTES, [((), self._lag.waiting_bytes)]),
            Family(names.LAG_AGE, [((), age_s)]),
            *self.ask_shipper(),
            Family(names.TELEMETRY_TROUBLE, [((kind,), count) for kind, count in troubles]),
        ]


def _moment(frame: Frame) -> int:
    """Return when a frame was written, as far as it tells, microseconds since 1970 UTC."""
    if isinstance(frame, Record):
        return frame.started_at + round((frame.latency_ms or 0.0) * 1000)
    if isinstance(frame, Opened):
        return frame.started_at
    return frame.captured_at if isinstance(frame, Content) else frame.received_at
