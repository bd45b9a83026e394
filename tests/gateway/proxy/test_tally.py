from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analytics.journal.segment import Packed
from analytics.journal.status import Status, StatusPage, read
from analytics.journal.writer import Writer
from analytics.record import Opened
from gateway.proxy.snapshot import Holder, View
from gateway.proxy.tally import SOURCES, TROUBLES, WARN_REQUESTS, StatusTally
from tests.fakes.proxy import decisions


class Disk:
    """A disk that can be full."""

    def __init__(self) -> None:
        self.is_full = False

    def pwrite(self, fd: int, packed: Packed, offset: int) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "full")
        return os.pwrite(fd, packed, offset)


class Counted:
    """A tally on a real page."""

    def __init__(self, folder: Path, **journal: Any) -> None:
        self.path = folder / "worker-0.status"
        self.page = StatusPage.create(self.path, boot="b0", pid=7)
        self.tally = StatusTally(self.page)
        self.writer = Writer(folder / "journal", "worker-0", "b0", **journal)
        self.holder = Holder(View(decisions=decisions(compiled_at=42), source="last_good"))

    def look(self) -> Status:
        self.tally.refresh(self.holder, self.writer)
        return read(self.path)

    def split(self, requests: int, anonymous: int) -> None:
        for number in range(requests):
            self.tally.assigned(anonymous=number < anonymous)


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    one = Counted(tmp_path)
    yield one
    one.writer.close()
    one.page.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[dict[str, int]]:
    return [
        {name: record.__dict__[name] for name in ("anonymous", "requests")}
        for record in caplog.records
        if record.levelno == logging.WARNING
    ]


def test_requests_are_counted_in_and_out(counted: Counted):
    for _ in range(3):
        counted.tally.began()
    counted.tally.ended()
    counted.split(2, 1)

    status = counted.look()

    assert (status.requests, status.in_flight, status.split, status.anonymous) == (3, 2, 2, 1)


def test_the_page_tells_what_the_worker_decides_by(counted: Counted):
    status = counted.look()
    assert (status.snapshot_epoch, status.snapshot_version, status.snapshot_taken_at) == (1, 7, 42)
    assert SOURCES[status.config_source] == "last_good"

    counted.holder.change(decisions=decisions(version=8), source="ledger")

    later = counted.look()
    assert (later.snapshot_version, SOURCES[later.config_source]) == (8, "ledger")
    assert later.updated_at >= status.updated_at > 0


def test_content_that_is_lost_is_told(counted: Counted):
    counted.tally.lost_content()
    counted.tally.lost_content()

    assert (counted.look().content_lost, counted.look().lost) == (2, 0)


def test_losses_of_the_journal_are_told(counted: Counted):
    counted.writer.lost = 5

    assert counted.look().lost == 5


def test_a_disk_that_refuses_is_told_of_once_for_every_change(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    disk = Disk()
    counted = Counted(tmp_path, pwrite=disk.pwrite, ring_bytes=70)
    told = [counted.look().journal_trouble]
    disk.is_full = True
    for seq in range(1, 4):
        counted.writer.append(Opened(request_id="r", seq=seq, started_at=1))
        told += [counted.look().journal_trouble, counted.look().journal_trouble]
    lost = counted.look().lost
    disk.is_full = False
    counted.writer.close()

    told.append(counted.look().journal_trouble)
    counted.page.close()
    assert [TROUBLES[code] for code in told] == ["none", "waiting", "waiting", *["losing"] * 4, "none"]
    assert lost == counted.writer.lost == 2
    levels = [record.levelno for record in caplog.records if "written_late" in record.__dict__]
    assert levels == [logging.ERROR, logging.CRITICAL, logging.WARNING]


def test_a_rollout_that_hardly_sees_users_is_warned_of_once(counted: Counted, caplog: pytest.LogCaptureFixture):
    counted.split(WARN_REQUESTS - 1, WARN_REQUESTS - 1)
    counted.look()
    assert not warnings(caplog)

    counted.split(1, 0)
    counted.look()
    assert warnings(caplog) == [{"anonymous": WARN_REQUESTS - 1, "requests": WARN_REQUESTS}]

    counted.split(WARN_REQUESTS, WARN_REQUESTS)
    counted.look()
    assert len(warnings(caplog)) == 1


def test_half_of_the_requests_without_a_user_key_are_no_reason_to_warn(
    counted: Counted, caplog: pytest.LogCaptureFixture
):
    counted.split(WARN_REQUESTS, WARN_REQUESTS // 2)
    counted.look()

    counted.split(WARN_REQUESTS, WARN_REQUESTS)
    counted.look()

    assert warnings(caplog) == [{"anonymous": WARN_REQUESTS, "requests": WARN_REQUESTS}]
