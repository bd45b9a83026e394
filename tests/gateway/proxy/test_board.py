from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.proxy.board import LESSEE, Board, NoRowError
from gateway.proxy.leased import GRANTED
from gateway.proxy.limits import HELD, WAITING, Bucket, Sheet, Slots
from gateway.proxy.purse import Purse

HOLDS = """
import sys, time
from pathlib import Path
from gateway.proxy.board import Board
from gateway.proxy.limits import Slots
board = Board(Path(sys.argv[1]))
slots = Slots(board.sheet("host"))
for _ in range(3):
    slots.take(9, time.monotonic_ns())
slots.line_up("late", 9, time.monotonic_ns())
print(board.row, flush=True)
sys.stdin.read()
"""

DAY = 20_000
SPENDS = f"""
import os, sys
from pathlib import Path
from gateway.proxy.board import Board
from gateway.proxy.purse import Purse
purse = Purse(Board(Path(sys.argv[1])).sheet("host"))
print([purse.set_aside(40, 100, {DAY}) for _ in range(2)], flush=True)
os._exit(1)
"""


def sheet(board: Board, name: str = "host") -> Sheet:
    found = board.sheet(name)
    assert found is not None
    return found


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Board]:
    with closing(Board(tmp_path / "limits")) as board:
        yield board


def test_workers_see_what_each_of_them_holds(one: Board, tmp_path: Path):
    with closing(Board(tmp_path / "limits")) as other:
        assert (one.row, other.row) == (0, 1)
        mine, others = Slots[str](sheet(one)), Slots[str](sheet(other))

        assert [mine.take(3, 1), others.take(3, 1), mine.take(3, 1), others.take(3, 1)] == [True, True, True, False]
        assert list(sheet(one).column(HELD)) == list(sheet(other).column(HELD)) == [2, 1]
        assert list(sheet(other, "another").column(HELD)) == [0, 0]


def test_a_row_is_free_again_when_its_worker_has_left_and_what_was_spent_stays_spent(tmp_path: Path):
    folder = tmp_path / "limits"
    with closing(Board(folder)) as former:
        Slots[str](sheet(former)).take(1, 1)
        assert Bucket(sheet(former)).take(1, 10**12) == 0.0

    with closing(Board(folder)) as later:
        assert later.row == 0
        assert Slots[str](sheet(later)).take(1, 1)
        assert Bucket(sheet(later)).take(1, 10**12) > 0


def test_what_a_killed_worker_held_is_given_back(one: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    words = [sys.executable, "-c", HOLDS, str(tmp_path / "limits")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        slots = Slots[str](sheet(one))
        assert not slots.take(3, time.monotonic_ns())
        assert one.sweep() == 0

        process.send_signal(signal.SIGKILL)
        process.wait()

    with caplog.at_level(logging.WARNING):
        assert one.sweep() == 3
    assert [record.message for record in caplog.records] == ["a worker is gone; what it held is free again"]
    assert list(sheet(one).column(HELD)) == list(sheet(one).column(WAITING)) == [0, 0]
    assert [slots.take(3, time.monotonic_ns()) for _ in range(4)] == [True, True, True, False]
    assert one.sweep() == 0


def test_what_a_killed_workers_requests_had_set_aside_is_charged(one: Board, tmp_path: Path):
    words = [sys.executable, "-c", SPENDS, str(tmp_path / "limits")]
    spent = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    purse = Purse(sheet(one))
    assert one.sweep() == 0

    assert spent == "[True, True]\n"
    assert purse.charged(DAY) == 80
    assert not purse.may_come_back(30, 100, DAY)
    assert not purse.set_aside(30, 100, DAY)


def test_a_lease_stands_beyond_the_rows_of_all_workers(one: Board, tmp_path: Path):
    assert not one.is_met("fleet slots shop")
    lease = one.leased("fleet slots shop")
    assert lease is not None
    lease.write_lease(GRANTED, 3)

    with closing(Board(tmp_path / "limits")) as other:
        assert other.is_met("fleet slots shop")
        seen = other.leased("fleet slots shop")
        assert seen is not None
        assert seen.part(9) == 3
        assert sum(seen.column(HELD)) == 0
    (tmp_path / "limits").rename(tmp_path / "away")
    assert one.leased("fleet rate shop") is None
    (tmp_path / "away").rename(tmp_path / "limits")


def test_a_poke_ends_the_wait_of_whoever_speaks_for_the_host(one: Board, tmp_path: Path):
    with closing(Board(tmp_path / "limits")) as other:
        one.poked(0.01)
        for _ in range(100_000):
            other.poke()
        began = time.monotonic()
        one.poked(20.0)
        one.poked(0.01)
        assert time.monotonic() - began < 15


def test_without_a_pipe_the_wait_lasts_its_time(tmp_path: Path):
    with closing(Board(tmp_path / "limits")) as board:
        (tmp_path / "limits").rename(tmp_path / "away")
        began = time.monotonic()
        board.poke()
        board.poked(0.05)
        assert time.monotonic() - began >= 0.05


def test_one_at_a_time_speaks_for_the_host(one: Board, tmp_path: Path):
    with closing(Board(tmp_path / "limits")) as other:
        lock = one.lessee()
        assert lock is not None
        assert other.lessee() is None
        os.close(lock)
        lock = other.lessee()
        assert lock is not None
        os.close(lock)


def test_a_worker_that_lives_keeps_its_row(one: Board, tmp_path: Path):
    with closing(Board(tmp_path / "limits")) as other:
        Slots[str](sheet(other)).take(3, 1)
        assert one.sweep() == 0
        with closing(Board(tmp_path / "limits")) as third:
            assert third.row == 2
            assert third.sweep() == 0
        assert list(sheet(one).column(HELD)) == [0, 1, 0]


def test_a_sheet_that_cannot_be_made_is_none_and_logged(one: Board, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "limits").rename(tmp_path / "away")

    assert one.sheet("model:x") is None
    assert [record.message for record in caplog.records] == ["a limit is not shared: this worker keeps its part of it"]
    (tmp_path / "away").rename(tmp_path / "limits")


def test_a_damaged_file_is_named(tmp_path: Path):
    folder = tmp_path / "limits"
    with closing(Board(folder)):
        pass
    (folder / "roster").write_bytes(b"half")

    with pytest.raises(OSError, match="roster was damaged: stop Turnout, remove the file"):
        Board(folder)


def test_with_all_rows_taken_the_next_worker_is_told(tmp_path: Path):
    folder = tmp_path / "limits"
    boards = [Board(folder)]
    try:
        boards.extend(Board(folder) for _ in range(LESSEE - 1))
        with pytest.raises(NoRowError, match=f"all {LESSEE} rows"):
            Board(folder)
    finally:
        for board in boards:
            board.close()


def test_nothing_unfinished_is_left_behind(one: Board, tmp_path: Path):
    sheet(one)

    names = {path.name for path in (tmp_path / "limits").iterdir()}
    assert {"lock", "roster", "row-0"} < names
    assert not [name for name in names if name.endswith(".tmp")]


HAMMERS = """
import mmap, os, sys, time
from pathlib import Path
from gateway.proxy.board import Board
from gateway.proxy.limits import Slots
slots = Slots(Board(Path(sys.argv[1])).sheet("host"))
with open(sys.argv[2], "rb+") as file:
    holder = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
granted = overlaps = 0
until = time.monotonic() + 1.0
while time.monotonic() < until:
    if slots.take(1, time.monotonic_ns()):
        granted += 1
        holder[0] = os.getpid()
        overlaps += any(holder[0] != os.getpid() for _ in range(20))
        slots.give_back(time.monotonic_ns())
print(granted, overlaps)
"""


def test_two_processes_that_do_nothing_else_never_hold_the_only_slot_at_once(tmp_path: Path):
    (tmp_path / "holder").write_bytes(bytes(8))
    words = [sys.executable, "-c", HAMMERS, str(tmp_path / "limits"), str(tmp_path / "holder")]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].split() for process in both]

    assert all(int(granted) > 100 for granted, _ in said)
    assert [overlaps for _, overlaps in said] == ["0", "0"]


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_removed_folder_takes_no_row_from_a_worker_that_lives(one: Board, tmp_path: Path, *, is_made_again: bool):
    folder = tmp_path / "limits"
    with closing(Board(folder)) as other:
        seen = sheet(one)
        assert Slots[str](sheet(other)).take(1, 1)
        shutil.rmtree(folder)
        if is_made_again:
            folder.mkdir()

        with pytest.raises(FileNotFoundError):
            one.sweep()
        assert list(seen.column(HELD)) == [0, 1]
