"""Numbers by labels: what counters and histograms hold. No I/O, no clock.

The law: an instrument holds a bounded number of series, whatever it is given; what is too much is folded into one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from analytics.telemetry.names import OTHER, Instrument

MOST_SERIES = 5_000
"""Of one instrument. A page of some megabytes is read by every scrape."""

Labels = tuple[str, ...]
"""A value for each of an instrument's labels, in their order."""


class Spread:
    """A histogram of one series: how many values each bucket took (not cumulative, the last one without end)."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.total = 0.0

    def copy(self) -> Spread:
        """Return what it holds now."""
        copied = Spread(0)
        copied.counts, copied.total = self.counts.copy(), self.total
        return copied


class Family(NamedTuple):
    """An instrument and its points."""

    instrument: Instrument
    points: Sequence[tuple[Labels, float | Spread]]

    def copy(self) -> Family:
        """Return what it holds now."""
        points = [(labels, one.copy() if isinstance(one, Spread) else one) for labels, one in self.points]
        return Family(self.instrument, points)


class Sums:
    """A counter's series."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._values: dict[Labels, float] = {}

    def add(self, labels: Labels, value: float = 1.0) -> None:
        """Add to one series."""
        if labels not in self._values and len(self._values) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        self._values[labels] = self._values.get(labels, 0.0) + value

    def family(self) -> Family:
        """Return what was added up so far."""
        return Family(self._instrument, list(self._values.items()))


class Spreads:
    """A histogram's series."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._bounds = instrument.bounds
        self._spreads: dict[Labels, Spread] = {}

    def add(self, labels: Labels, value: float) -> None:
        """Count one value; one that equals a bound is below it."""
        spread = self._spreads.get(labels)
        if spread is None:
            spread = self._new(labels)
        spread.counts[bisect_left(self._bounds, value)] += 1
        spread.total += value

    def _new(self, labels: Labels) -> Spread:
        if len(self._spreads) >= MOST_SERIES:
            labels = (OTHER,) * len(labels)
        return self._spreads.setdefault(labels, Spread(len(self._bounds) + 1))

    def family(self) -> Family:
        """Return what was counted so far; the numbers go on changing."""
        return Family(self._instrument, list(self._spreads.items()))
