"""Kill a fold at a line of its code, let the next one go on, and count."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.lake.directory import Directory
from analytics.warehouse.evidence import Evidence
from tests.fakes import plain_evidence as plain
from tests.fakes.gate_rows import NOW, WINDOW, drawn, said_of

DYING = """
import os, signal, sys
from pathlib import Path
from analytics.lake.directory import Directory
from analytics.warehouse.evidence import Evidence
left = int(sys.argv[2])
def trace(frame, event, argument):
    global left
    if "/analytics/" not in frame.f_code.co_filename:
        return None
    left -= event == "line"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace
place = Path(sys.argv[1])
evidence = Evidence(place / "evidence.duckdb", Directory(place / "lake"), clock=lambda: int(sys.argv[3]))
sys.settrace(trace)
evidence.fold()
sys.settrace(None)
print(int(sys.argv[2]) - left)
"""


def fold_until(line: int, place: Path) -> tuple[int, str]:
    command = [sys.executable, "-c", DYING, str(place), str(line), str(NOW)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("steps", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_a_fold_that_is_killed_anywhere_loses_nothing_and_doubles_nothing(tmp_path: Path, lake, steps: int) -> None:
    chance = random.Random(7)
    records = [drawn(chance, number) for number in range(1, 200)]
    pieces = [said_of(chance, number, chance.choice(records)) for number in range(1, 100)]
    before = tmp_path / "before"
    before.mkdir()
    lake.put(records[:100])
    lake.put_feedback(pieces[:50])
    evidence = Evidence(before / "evidence.duckdb", Directory(lake.root), clock=lambda: NOW)
    evidence.look(WINDOW)
    evidence.close()
    lake.compact(NOW)
    lake.put(records[100:])
    lake.put_feedback(pieces[50:])
    shutil.copytree(lake.root, before / "lake")
    shutil.copytree(before, tmp_path / "whole")
    status, lines = fold_until(-1, tmp_path / "whole")
    assert status == 0
    for step in range(steps):
        place = tmp_path / f"dead-{step}"
        shutil.copytree(before, place)
        assert fold_until(int(lines) * (2 * step + 1) // (2 * steps), place)[0] == -9
        evidence = Evidence(place / "evidence.duckdb", Directory(place / "lake"), clock=lambda: NOW)
        evidence.fold()
        found = evidence.look(WINDOW)
        evidence.close()

        for check in ("errors", "p99", "satisfaction"):
            wanted = plain.check_sums(records, pieces, WINDOW, check)
            assert found.checks[check].base.requests == wanted.base.requests
            assert found.checks[check].candidate.x.x == pytest.approx(wanted.candidate.x.x)
