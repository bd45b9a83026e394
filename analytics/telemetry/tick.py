"""The controller's sign of life as a measure: the file that it leaves, and when it did so last.

The law: a host whose controller never was has no such measure, so nobody is paged for one.
"""

from __future__ import annotations

from pathlib import Path

from analytics.telemetry import names
from analytics.telemetry.series import Family

TICK_FILE = "controller.tick"
"""Beside the status pages; it holds the microseconds since 1970 UTC when the controller's last pulse ended."""
_LARGEST_BYTES = 64
_S = 1 / 1_000_000


def read_tick(path: Path) -> str | None:
    """Return the last sign of life; None where there was none, or it cannot be read now."""
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES).decode("ascii", "replace")
    except OSError:
        return None


def tick_family(directory: Path) -> Family:
    """Return when the controller decided last, by the sign in a directory."""
    sign = read_tick(directory / TICK_FILE)
    return Family(names.CONTROLLER_TICK, [((), int(sign) * _S)] if sign is not None and sign.isdecimal() else [])
