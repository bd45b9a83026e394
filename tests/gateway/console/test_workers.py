from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from analytics.journal.status import StatusPage
from gateway.console.views import WorkerView
from gateway.console.workers import read_workers


def test_living_workers_are_shown_by_name(tmp_path: Path):
    page = StatusPage.create(tmp_path / "w0.status", boot="b", pid=os.getpid())
    page.change(snapshot_epoch=1, snapshot_version=7)
    page.in_flight, page.split, page.anonymous = 3, 10, 4

    assert read_workers(tmp_path) == [
        WorkerView(worker="w0", snapshot="1.7", in_flight=3, split_requests=10, split_without_user_key=4)
    ]
    page.close()


def test_pages_of_dead_workers_and_other_files_are_passed_over(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    StatusPage.create(tmp_path / "w1.status", boot="b", pid=process.pid).close()
    (tmp_path / "w2.status").write_bytes(b"junk")
    (tmp_path / "w3.status").mkdir()

    assert read_workers(tmp_path) == []
    assert read_workers(tmp_path / "nowhere") == []


def test_a_worker_that_is_gone_is_shown_if_its_journal_was_in_trouble(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    died = StatusPage.create(tmp_path / "w1.status", boot="b", pid=process.pid)
    died.change(lost=3, journal_trouble=2)
    ended = StatusPage.create(tmp_path / "w0.b.ended", boot="b", pid=os.getpid())
    ended.lost = 1

    shown = [(view.worker, view.lost, view.journal_trouble, view.ended_page) for view in read_workers(tmp_path)]

    assert shown == [
        ("w1", 3, "losing", str(tmp_path / "w1.status")),
        ("w0.b", 1, "none", str(tmp_path / "w0.b.ended")),
    ]
