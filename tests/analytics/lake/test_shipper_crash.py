"""Kill the shipper at a line of its code, let the next one go on, and count."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.shipper import Shipper
from analytics.lake.verify import verify
from analytics.record import Opened, Record

REQUESTS = 12
STEPS = 12
"""Lines at which the shipper is killed, spread evenly over all that it runs."""

DYING = """
import os, sys
from pathlib import Path
from analytics.lake.shipper import Shipper
left = int(sys.argv[2])
def trace(frame, event, argument):
    global left
    if "/analytics/" not in frame.f_code.co_filename:
        return None
    left -= event == "line"
    if left == 0:
        os._exit(9)
    return trace
sys.settrace(trace)
shipper = Shipper(Path(sys.argv[1], "journal"), Path(sys.argv[1], "lake"))
shipper.tick()
shipper.close()
sys.settrace(None)
print(int(sys.argv[2]) - left)
"""


def run_until(line: int, state: Path) -> tuple[int, str]:
    command = [sys.executable, "-c", DYING, str(state), str(line)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout


@pytest.fixture
def journal(tmp_path: Path, opened: Callable[[int], Opened], closed: Callable[[int], Record]) -> Path:
    state = tmp_path / "before"
    writer = Writer(state / "journal", "w0", "b1", segment_bytes=500)
    for seq in range(1, REQUESTS + 1):
        writer.append(opened(seq))
        if seq > 3:
            writer.append(closed(seq - 2))
    writer.close()
    with (state / "journal" / "w0-b1-000003.segment").open("ab") as segment:
        segment.write(b"torn")
    return state


def test_a_shipper_that_dies_anywhere_leaves_everything_to_its_successor_exactly_once(
    journal: Path, tmp_path: Path
) -> None:
    shutil.copytree(journal, tmp_path / "whole")
    status, lines = run_until(-1, tmp_path / "whole")
    assert status == 0
    for step in range(STEPS):
        state = tmp_path / f"dead-{step}"
        shutil.copytree(journal, state)
        assert run_until(int(lines) * (2 * step + 1) // (2 * STEPS), state)[0] == 9
        shipper = Shipper(state / "journal", state / "lake")
        shipper.tick()
        shipper.close()
        found = verify(state / "lake", state / "journal")

        assert found.sound
        assert found.outcomes == {"ok": REQUESTS - 3, "interrupted": 3}
        assert found.quarantined == 1
        assert segments(state / "journal") == []
