from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.journal.status import StatusPage
from analytics.lake.directory import Directory
from analytics.lake.presence import AGAIN_S, HOSTS, Reporter, WorkerPresence, forget, presences
from analytics.lake.store import StoreAwayError

PATIENCE_S = 15.0


class Lake(Directory):
    """A lake that counts what is put there, and may be away."""

    is_away = False
    puts = 0

    def replace(self, name: str, body: bytes) -> None:
        if self.is_away:
            message = "the store is away"
            raise StoreAwayError(message)
        self.puts += 1
        super().replace(name, body)

    def remove(self, name: str) -> None:
        if self.is_away:
            message = "the store is away"
            raise StoreAwayError(message)
        super().remove(name)


class Host:
    """A host with one worker's page, which tells of itself by a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000_000
        self.pages = folder / "run"
        self.lake = Lake(folder / "lake")
        self.said: list[str] = []
        self.page = StatusPage.create(self.pages / "worker-0.status", boot="b1", pid=os.getpid())
        self.page.change(snapshot_epoch=1, snapshot_version=7)
        self.reporter = Reporter(self.lake, "north-1", self.pages, self._say, lambda: self.now)

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        del level, fields
        self.said.append(event)

    def tick(self, after_s: float = 0.0) -> int:
        self.now += int(after_s * 1_000_000)
        self.reporter.tick()
        return self.lake.puts


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


def test_a_host_tells_what_its_living_workers_say(host: Host):
    host.page.in_flight, host.page.split, host.page.anonymous = 3, 10, 4
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    StatusPage.create(host.pages / "worker-1.status", boot="b2", pid=process.pid).close()
    (host.pages / "worker-2.status").write_bytes(b"no page")

    host.tick()

    [told] = presences(host.lake)
    assert (told.host, told.at) == ("north-1", host.now)
    assert told.workers == (
        WorkerPresence(
            worker="worker-0", boot="b1", snapshot_epoch=1, snapshot_version=7, in_flight=3, split=10, anonymous=4
        ),
    )


def test_a_new_snapshot_is_told_at_once_and_counts_only_every_half_minute(host: Host):
    assert host.tick() == 1
    host.page.in_flight, host.page.split = 9, 99
    assert host.tick(1) == 1

    host.page.change(snapshot_version=8)
    assert host.tick(1) == 2
    assert presences(host.lake)[0].workers[0].snapshot_version == 8

    assert host.tick(AGAIN_S - 1) == 2
    assert host.tick(1) == 3


def test_a_journal_in_trouble_is_told_at_once(host: Host):
    host.tick()
    host.page.change(journal_trouble=2, lost=5)

    assert host.tick() == 2
    host.page.lost = 6
    assert host.tick() == 2


def test_what_cannot_be_read_is_passed_over_and_where_nobody_told_there_is_nothing(host: Host, tmp_path: Path):
    assert presences(host.lake) == []
    host.tick()
    (tmp_path / "lake" / HOSTS / "south.json").write_bytes(b"{")

    assert [one.host for one in presences(host.lake)] == ["north-1"]
    forget(host.lake, "north-1")
    assert presences(host.lake) == []


def test_a_lake_that_is_away_is_said_once_and_the_word_is_taken_back_in_the_end(host: Host):
    host.lake.is_away = True
    stop = threading.Event()
    thread = threading.Thread(target=host.reporter.run, args=(stop, 0.01))
    thread.start()
    until(lambda: host.said == ["presence_not_told"])
    host.lake.is_away = False
    until(lambda: len(presences(host.lake)) == 1)
    stop.set()
    thread.join()

    assert presences(host.lake) == []
    assert host.said == ["presence_not_told"]


def test_a_word_that_cannot_be_taken_back_is_said(host: Host):
    host.tick()
    host.lake.is_away = True
    stop = threading.Event()
    stop.set()

    host.reporter.run(stop)

    assert host.said == ["presence_not_removed"]
