"""Kill a compaction at a line of its code, let the next one go on, and count."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from analytics.lake.directory import Directory
from analytics.lake.verify import verify
from analytics.warehouse.database import Warehouse
from tests.fakes.handmade_lake import LATER_US, HandmadeLake, record

DYING = """
import os, signal, sys
from pathlib import Path
from analytics.lake.compaction import Compaction
from analytics.lake.directory import Directory
from analytics.lake.needed import needed_here
left = int(sys.argv[2])
def trace(frame, event, argument):
    global left
    if "/analytics/" not in frame.f_code.co_filename:
        return None
    left -= event == "line"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace
lake = Path(sys.argv[1])
compaction = Compaction(Directory(lake), lake, lambda: int(sys.argv[3]), needed_here(lake / "none"))
sys.settrace(trace)
compaction.run()
sys.settrace(None)
print(int(sys.argv[2]) - left)
"""


def run_until(line: int, lake: Path, at_us: int) -> tuple[int, str]:
    command = [sys.executable, "-c", DYING, str(lake), str(line), str(at_us)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode, ended.stdout


def days(lake: Path) -> list[object]:
    if not list(lake.glob("requests/*/*.parquet")):
        return []
    return [
        row[0] for row in duckdb.execute(f"SELECT request_id FROM '{lake}/requests/*/*.parquet' ORDER BY 1").fetchall()
    ]


def summed(lake: Path) -> int:
    """Return how many requests are in all rollups."""
    [(requests,)] = duckdb.execute(f"SELECT sum(requests) FROM '{lake}/rollups/*/*.parquet'").fetchall()
    return int(requests)


def summed_in_view(lake: Path) -> int:
    """Return how many requests the warehouse counts in its sums."""
    warehouse = Warehouse(Directory(lake))
    try:
        with warehouse.connection(["hourly"]) as connection:
            [(requests,)] = connection.execute("SELECT sum(requests) FROM hourly").fetchall()
            return int(requests)
    finally:
        warehouse.close()


@pytest.mark.parametrize("steps", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_a_compaction_that_is_killed_anywhere_loses_nothing_and_doubles_nothing(tmp_path: Path, steps: int) -> None:
    before = HandmadeLake(tmp_path / "before")
    before.put([record(1), record(2), record(86_400)])
    before.put([record(3)])
    before.compact()
    before.put([record(2), record(4), record(86_401)])
    before.put([record(5), record(900_000)])
    later = LATER_US + 700_000_000
    shutil.copytree(before.root, tmp_path / "whole")
    status, lines = run_until(-1, tmp_path / "whole", later)
    assert status == 0
    for step in range(steps):
        lake = tmp_path / f"dead-{step}"
        shutil.copytree(before.root, lake)
        assert run_until(int(lines) * (2 * step + 1) // (2 * steps), lake, later)[0] == -9
        public = days(lake)
        assert len(public) == len(set(public))
        assert run_until(-1, lake, later + 1)[0] == 0
        found = verify(lake, tmp_path / "journal", sleep=lambda _: None)

        assert (found.records, found.duplicate_request_ids) == (8, 0)
        assert set(public) <= set(days(lake))
        assert summed(lake) == len(days(lake))
        assert summed_in_view(lake) == 8
        assert days(lake) == days(tmp_path / "whole")
