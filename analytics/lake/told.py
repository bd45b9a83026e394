"""What the shipper tells of itself to whoever scrapes: what it did, what it met, and whether the lake is there."""

from __future__ import annotations

from analytics.lake.shipper import Shipper
from analytics.telemetry import names
from analytics.telemetry.series import Family

_ROWS = ("records", "interrupted", "feedback", "content")
_TROUBLES = ("late", "undecodable", "quarantined", "unwritable", "failures")
_S = 1 / 1_000_000


def families(shipper: Shipper) -> list[Family]:
    """Return the counts since its start, and its heartbeats."""
    counts = shipper.counts
    return [
        Family(names.STORE_AWAY, [((), float(shipper.is_away))]),
        Family(names.SHIPPED, [((name,), getattr(counts, name)) for name in _ROWS]),
        Family(names.SHIPPER_TROUBLE, [((name,), getattr(counts, name)) for name in _TROUBLES]),
        Family(names.HEARTBEAT, [((worker,), beat.at * _S) for worker, beat in shipper.beats.items()]),
    ]
