"""How a process ends on SIGTERM: through its `finally` clauses, with exit code 0."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def end_cleanly() -> None:
    """Make SIGTERM raise `SystemExit(0)`; a server that catches the signal raises it again when it is done."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    del number, frame
    sys.exit(0)
