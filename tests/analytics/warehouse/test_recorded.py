from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from analytics.evidence import Quality
from analytics.journal.status import StatusPage
from analytics.lake.directory import Directory
from analytics.lake.layout import Heartbeat
from analytics.lake.presence import HOSTS, Presence, WorkerPresence
from analytics.warehouse.evidence import Evidence
from tests.fakes.gate_rows import NOW, WINDOW, gate_row
from tests.fakes.handmade_lake import HandmadeLake

MINUTE_US = 60_000_000
Asking = Callable[[], Quality]


def beat(lake: HandmadeLake, worker: str = "w0", boot: str = "b1", *, at: int = NOW, settled_to: int = 0) -> None:
    lake.lake.beat(Heartbeat(worker=worker, boot=boot, last_seq=9, at=at, host="h", settled_to=settled_to, fresh_to=at))


def page(folder: Path, worker: str = "w0", boot: str = "b1", *, lost: int = 0, trouble: int = 0) -> None:
    made = StatusPage.create(folder / f"{worker}.status", boot=boot, pid=os.getpid())
    made.change(lost=lost, journal_trouble=trouble)
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "host").write_text("h\n")
    return tmp_path / "run"


@pytest.fixture
def quality(lake, folder, tmp_path):
    evidence = Evidence(
        tmp_path / "evidence.duckdb",
        Directory(lake.root),
        clock=lambda: NOW,
        pages=folder,
        journal=tmp_path / "journal",
    )

    def ask() -> Quality:
        evidence.fold()
        return evidence.look(WINDOW).quality

    yield ask
    evidence.close()


def test_a_number_that_is_settled_and_nowhere_is_lost(lake, quality):
    lake.put([gate_row(number) for number in (2, 3, 5, 9, 10)])
    beat(lake, settled_to=7)

    assert (quality().lost_rows, quality().due_rows) == (3, 6)


def test_what_came_into_the_lake_after_the_last_fold_is_not_lost(lake, folder, tmp_path):
    evidence = Evidence(
        tmp_path / "evidence.duckdb",
        Directory(lake.root),
        clock=lambda: NOW,
        pages=folder,
        journal=tmp_path / "journal",
    )
    lake.put([gate_row(number) for number in (2, 9)])
    beat(lake, settled_to=2)
    evidence.look(WINDOW)
    lake.put([gate_row(number) for number in (3, 4, 5, 6, 7, 8)])
    beat(lake, settled_to=9)

    before = evidence.look(WINDOW).quality
    evidence.fold()
    after = evidence.look(WINDOW).quality
    evidence.close()

    assert (before.lost_rows, before.due_rows) == (0, 1)
    assert (after.lost_rows, after.due_rows) == (0, 8)


def test_what_may_still_come_is_not_lost(lake, quality):
    lake.put([gate_row(number) for number in (2, 9)])

    assert (quality().lost_rows, quality().due_rows) == (0, 0)
    beat(lake, settled_to=2)
    assert (quality().lost_rows, quality().due_rows) == (0, 1)


def test_what_came_late_is_lost_no_more(lake, quality):
    lake.put([gate_row(number) for number in (1, 3)])
    beat(lake, settled_to=3)

    assert quality().lost_rows == 1
    lake.put([gate_row(2)])
    assert quality().lost_rows == 0


def test_a_boot_that_is_over_has_lost_what_its_host_did_not_bring(lake, quality):
    lake.put([gate_row(number) for number in (1, 3, 6)])
    beat(lake, settled_to=2)
    early = quality()
    beat(lake, boot="b2", at=gate_row(6).started_at + MINUTE_US)
    soon = quality()
    beat(lake, boot="b2", at=gate_row(6).started_at + 16 * MINUTE_US)

    assert (early.lost_rows, early.due_rows) == (1, 2)
    assert (soon.lost_rows, soon.due_rows) == (1, 2)
    assert (quality().lost_rows, quality().due_rows) == (3, 6)


def test_frames_that_were_counted_as_lost_since_the_step_began_are_lost(lake, quality, folder):
    lake.put([gate_row(1)])
    page(folder, lost=5)
    first = quality()
    page(folder, lost=8)
    page(folder, "w1", "b9", lost=2)

    assert (first.lost_rows, quality().lost_rows) == (0, 5)


@pytest.mark.parametrize("trouble", [0, 1, 2])
def test_a_disk_that_refuses_is_an_alarm(quality, folder, trouble):
    page(folder, trouble=trouble)

    assert quality().disk_alarm is bool(trouble)


def test_the_live_worker_that_is_heard_of_least_says_how_stale_all_is(lake, quality, folder):
    assert quality().heartbeat_age_s is None
    page(folder)
    assert quality().heartbeat_age_s == 0.0
    page(folder, "w1", "b2")
    beat(lake, at=NOW - 20 * MINUTE_US)
    beat(lake, "w1", "b2", at=NOW - MINUTE_US)
    beat(lake, "w2", "b3", at=NOW - 90 * MINUTE_US)

    assert quality().heartbeat_age_s == 20 * 60.0


def test_other_hosts_are_known_by_what_they_leave_in_the_lake(lake, quality):
    store = Directory(lake.root)
    store.prepare(HOSTS)
    worker = WorkerPresence(worker="w7", boot="b7", snapshot_epoch=1, snapshot_version=1, lost=0, journal_trouble=1)

    store.replace(f"{HOSTS}/far.json", msgspec.json.encode(Presence(host="far", at=NOW, workers=(worker,))))
    lake.lake.beat(
        Heartbeat(worker="w7", boot="b7", last_seq=1, at=NOW - MINUTE_US, host="far", fresh_to=NOW - 2 * MINUTE_US)
    )
    found = quality()

    assert (found.disk_alarm, found.heartbeat_age_s) == (True, 60.0)


def test_without_pages_the_newest_heartbeat_of_each_host_counts(lake, opening):
    beat(lake, at=NOW - 90 * MINUTE_US)
    beat(lake, "w1", at=NOW - MINUTE_US)
    found = opening(clock=lambda: NOW).look(WINDOW)

    assert found.quality.heartbeat_age_s == 60.0
    assert found.as_of == NOW - MINUTE_US
