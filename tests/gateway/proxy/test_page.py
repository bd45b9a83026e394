from __future__ import annotations

import logging
from pathlib import Path

import pytest

from analytics.journal.status import StatusPage, read
from gateway.proxy.page import RETRY_S, PageFile


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_page_goes_with_its_worker(tmp_path: Path):
    path = tmp_path / "run/worker-0.status"
    file = PageFile(path, boot="b1", pid=7)
    file.page.requests += 1
    assert read(path).requests == 1

    file.end()

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("trouble", [{"lost": 3}, {"journal_trouble": 1}])
def test_a_page_that_tells_of_losses_stays_under_a_name_of_its_own(tmp_path: Path, trouble: dict[str, int]):
    file = PageFile(tmp_path / "worker-0.status", boot="b1", pid=7)
    file.page.change(**trouble)

    file.end()

    (left,) = tmp_path.iterdir()
    assert left.name == "worker-0.b1.ended"
    status = read(left)
    assert {name: getattr(status, name) for name in trouble} == trouble


def test_losses_of_a_worker_that_died_outlive_the_next_of_its_name(tmp_path: Path):
    died = StatusPage.create(tmp_path / "worker-0.status", boot="b1", pid=7)
    died.lost = 3

    PageFile(tmp_path / "worker-0.status", boot="b2", pid=8)

    assert read(tmp_path / "worker-0.b1.ended").lost == 3
    assert (read(tmp_path / "worker-0.status").boot, read(tmp_path / "worker-0.status").lost) == ("b2", 0)


def test_the_page_of_another_worker_is_left_alone(tmp_path: Path):
    path = tmp_path / "worker-0.status"
    former = PageFile(path, boot="b1", pid=7)
    PageFile(path, boot="b2", pid=8)

    former.end()

    assert read(path).boot == "b2"


def test_a_page_that_nobody_can_write_is_made_later_with_all_its_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    clock = Clock()
    in_the_way = tmp_path / "run"
    in_the_way.write_text("a file where a directory should be")
    file = PageFile(in_the_way / "worker-0.status", boot="b1", pid=7, clock=clock)
    file.page.requests += 5
    clock.now += RETRY_S
    file.tend()
    in_the_way.unlink()
    file.tend()
    assert not in_the_way.exists()

    clock.now += RETRY_S
    file.tend()
    file.page.requests += 1

    status = read(in_the_way / "worker-0.status")
    assert (status.boot, status.pid, status.requests) == ("b1", 7, 6)
    assert [record.getMessage() for record in caplog.records] == [
        "no status page can be made; the worker serves without one",
        "the status page is made at last",
    ]


def test_a_page_that_was_never_made_and_one_that_is_gone_end_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "run").write_text("")
    PageFile(tmp_path / "run/worker-0.status", boot="b1", pid=7).end()
    gone = PageFile(tmp_path / "worker-0.status", boot="b1", pid=7)
    (tmp_path / "worker-0.status").unlink()

    gone.end()

    assert "status page not removed" in caplog.text
