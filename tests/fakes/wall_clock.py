"""The wall clock of a whole installation, which a test turns while it runs; skipped where no C compiler is.

libfaketime would not do: under it a sleep that is told until when fails, and the supervisor sleeps.
"""

from __future__ import annotations

import mmap
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """The wall clock of the processes that begin with these variables, and of those that they start."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            pytest.skip("not exercised: there is no C compiler here, or no Linux")
        library, offset = folder / "wall_clock.so", folder / "wall-clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
        offset.write_bytes(bytes(8))
        self._offset = offset
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(library), "TURNOUT_TEST_CLOCK": str(offset)}

    def turn(self, days: int) -> None:
        """Let it be so many days ahead of the true time from here on, or behind."""
        with self._offset.open("r+b") as file, mmap.mmap(file.fileno(), 8) as told:
            told[:] = (days * 86_400).to_bytes(8, sys.byteorder, signed=True)
