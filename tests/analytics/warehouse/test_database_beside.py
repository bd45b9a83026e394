"""What is in the journal and not yet in the lake, seen through the warehouse, whatever the shipper does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from analytics.feedback import Feedback
from analytics.journal.writer import Writer
from analytics.lake.compaction import Compaction
from analytics.lake.directory import Directory
from analytics.lake.needed import needed_here
from analytics.lake.shipper import Shipper
from analytics.record import Opened, Record
from analytics.warehouse.database import Warehouse

NOW_US = 1_790_000_000_000_000
LOOKS = 5
Open = Callable[[int], Opened]
Close = Callable[[int], Record]
Say = Callable[[int], Feedback]


@pytest.fixture
def shipper(tmp_path: Path) -> Iterator[Shipper]:
    made = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US)
    yield made
    made.close()


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    made = Warehouse(Directory(tmp_path / "lake"), tmp_path / "journal", clock=lambda: NOW_US, limit_s=120)
    yield made
    made.close()


def rows(warehouse: Warehouse, question: str) -> list[tuple[Any, ...]]:
    with warehouse.connection() as connection:
        return connection.execute(question).fetchall()


def numbers(warehouse: Warehouse, view: str = "requests") -> list[int]:
    return [seq for (seq,) in rows(warehouse, f"SELECT seq FROM {view} ORDER BY seq")]


def test_what_has_ended_is_in_the_answer_before_it_is_sealed_and_what_is_open_is_not(
    tmp_path: Path, warehouse: Warehouse, opened: Open, closed: Close, said: Say
) -> None:
    writer = Writer(tmp_path / "journal", "w0", "b1")
    for frame in (opened(1), closed(1), opened(2), said(1)):
        writer.append(frame)

    assert numbers(warehouse) == [1]
    assert numbers(warehouse, "feedback") == [1]
    assert rows(warehouse, "SELECT status FROM judged") == [("foreign",)]
    writer.append(closed(2))
    assert numbers(warehouse) == [1, 2]
    writer.close()


def test_a_row_is_the_same_before_and_after_it_is_sealed(
    tmp_path: Path, shipper: Shipper, warehouse: Warehouse, closed: Close, said: Say
) -> None:
    full = replace(
        closed(1), percent=12.5, user_hash=b"\x00\xff" * 8, tags={"a": "ü"}, input_tokens=2**40, cost_usd=0.1, bucket=7
    )
    writer = Writer(tmp_path / "journal", "w0", "b1")
    writer.append(full)
    writer.append(said(1))
    before = [rows(warehouse, f"FROM {view}") for view in ("requests", "feedback")]
    shipper.tick()
    writer.close()
    shipper.tick()
    assert not list((tmp_path / "journal").glob("*.segment"))

    assert [rows(warehouse, f"FROM {view}") for view in ("requests", "feedback")] == before
    assert len(before[0]) == len(before[1]) == 1


def test_requests_of_a_dead_worker_are_interrupted_and_a_close_that_came_too_late_changes_nothing(
    tmp_path: Path, warehouse: Warehouse, opened: Open, closed: Close
) -> None:
    now_s = 1000.0
    writer = Writer(tmp_path / "journal", "w0", "b1")
    writer.append(opened(1))
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW_US, monotonic=lambda: now_s)
    shipper.tick()
    now_s += 10_000
    shipper.tick()
    shipper.close()
    writer.append(closed(1))
    writer.append(opened(2))
    alive = rows(warehouse, "SELECT seq, outcome FROM requests ORDER BY seq")
    writer.close()

    assert alive == [(1, "interrupted")]
    assert rows(warehouse, "SELECT seq, outcome FROM requests ORDER BY seq") == [(1, "interrupted"), (2, "interrupted")]


def test_a_row_that_fits_no_column_is_left_out_as_the_shipper_leaves_it_out(
    tmp_path: Path, shipper: Shipper, warehouse: Warehouse, closed: Close
) -> None:
    writer = Writer(tmp_path / "journal", "w0", "b1")
    for seq in (1, 2, 3):
        writer.append(closed(seq) if seq != 2 else replace(closed(2), bucket=70_000))
    before = numbers(warehouse)
    shipper.tick()

    assert before == numbers(warehouse) == [1, 3]
    writer.close()


class Busy(Directory):
    """A directory in which something happens before the call of this number."""

    def __init__(self, root: Path, number: int, happen: Callable[[], object]) -> None:
        super().__init__(root)
        self.calls, self._number, self._happen = 0, number, happen

    def names(self, folder: str, start: str = "") -> list[str]:
        self._count()
        return super().names(folder, start)

    def read(self, name: str) -> bytes | None:
        self._count()
        return super().read(name)

    def sizes(self, folder: str) -> dict[str, int]:
        self._count()
        return super().sizes(folder)

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self._number:
            self._happen()


def test_whenever_the_shipper_seals_and_removes_a_segment_while_a_report_looks_each_row_is_there_once(
    tmp_path: Path, closed: Close, said: Say
) -> None:
    calls, number = 99, 0
    while number <= calls:
        number += 1
        state = tmp_path / f"{number}"
        shipper = Shipper(state / "journal", state / "lake", lambda: NOW_US)
        writer = Writer(state / "journal", "w0", "b1")
        for seq in (1, 2, 3, 4):
            writer.append(closed(seq))
            writer.append(said(seq))
            if seq % 2:
                shipper.tick()
        writer.close()
        lake = Busy(state / "lake", number, shipper.tick)
        warehouse = Warehouse(lake, state / "journal", clock=lambda: NOW_US)

        assert (number, numbers(warehouse), numbers(warehouse, "feedback")) == (number, [1, 2, 3, 4], [1, 2, 3, 4])
        calls = lake.calls // 2
        warehouse.close()
        shipper.close()


class Traffic:
    """Requests and feedback that come one after the other, from a worker that is replaced now and then."""

    def __init__(self, journal: Path, opened: Open, closed: Close, said: Say) -> None:
        self._journal, self._opened, self._closed, self._said = journal, opened, closed, said
        self.ended = 0
        self.begun = 0

    def run(self, is_over: threading.Event) -> None:
        boot, writer = 0, self._writer(0)
        while not is_over.wait(0.001):
            seq = self.begun = self.begun + 1
            writer.append(self._opened(seq))
            writer.append(self._closed(seq))
            writer.append(self._said(seq))
            self.ended = seq
            if seq % 200 == 0:
                writer.close()
                boot += 1
                writer = self._writer(boot)
        writer.close()

    def _writer(self, boot: int) -> Writer:
        return Writer(self._journal, "w0", f"b{boot}", segment_bytes=8_000)


def test_reports_beside_requests_a_shipper_and_a_compaction_never_miss_a_row_and_never_have_one_twice(
    tmp_path: Path, shipper: Shipper, warehouse: Warehouse, opened: Open, closed: Close, said: Say
) -> None:
    is_over = threading.Event()
    traffic = Traffic(tmp_path / "journal", opened, closed, said)
    failures: list[BaseException] = []

    def compact() -> None:
        while not is_over.wait(0.05):
            store = Directory(tmp_path / "lake")
            compaction = Compaction(store, tmp_path / "beside", lambda: NOW_US, needed_here(tmp_path / "journal"))
            compaction.run()
            compaction.close()

    def guarded(work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)
                is_over.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def ship() -> None:
        while not is_over.wait(0.02):
            shipper.tick()

    shipper.tick()
    threads = [guarded(lambda: traffic.run(is_over)), guarded(ship), guarded(compact)]
    looks: list[tuple[int, int, int, int]] = []
    while len(looks) < LOOKS and not is_over.is_set():
        known = traffic.ended
        question = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM feedback)"
        [(requests, pieces)] = rows(warehouse, question)
        looks.append((known, requests, pieces, traffic.begun))
    is_over.set()
    for thread in threads:
        thread.join()

    assert not failures
    wrong = [one for one in looks if not (one[0] <= one[1] <= one[3] and one[0] <= one[2] <= one[3])]
    assert not wrong
    assert numbers(warehouse) == list(range(1, traffic.ended + 1))
