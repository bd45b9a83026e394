from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from analytics.lake.place import MissingPackageError, Place
from analytics.lake.presence import HOSTS, Presence, WorkerPresence
from analytics.lake.store import Store
from gateway.console.hosts import FORGOTTEN_S, SAID_S, SILENT_S, Alone, Hosts
from gateway.console.views import WorkerView

NOW_S = 1_800_000_000.0
PATIENCE_S = 15.0
WORKER = WorkerPresence(
    worker="worker-0", boot="b", snapshot_epoch=1, snapshot_version=7, in_flight=3, split=10, anonymous=4, lost=2
)


def tell(lake: Path, host: str, *, age_s: float = 1.0, trouble: int = 0) -> int:
    at = int((NOW_S - age_s) * 1_000_000)
    one = Presence(host=host, at=at, workers=(msgspec.structs.replace(WORKER, journal_trouble=trouble),))
    (lake / HOSTS).mkdir(parents=True, exist_ok=True)
    (lake / HOSTS / f"{host}.json").write_bytes(msgspec.json.encode(one))
    return at


def looked(lake: Path) -> Hosts:
    hosts = Hosts(Place(url=str(lake)), clock=lambda: NOW_S)
    hosts.look()
    return hosts


def test_workers_elsewhere_are_shown_with_their_host(tmp_path: Path):
    at = tell(tmp_path, "north", trouble=1)

    hosts = looked(tmp_path)

    assert list(hosts.workers()) == [
        WorkerView(
            worker="north/worker-0",
            snapshot="1.7",
            in_flight=3,
            split_requests=10,
            split_without_user_key=4,
            lost=2,
            journal_trouble="waiting",
            told_at=at,
        )
    ]
    assert not hosts.silent()
    hosts.close()
    assert not hosts.workers()


def test_a_trouble_that_a_newer_host_knows_is_none_here(tmp_path: Path):
    tell(tmp_path, "north", trouble=99)

    assert looked(tmp_path).workers()[0].journal_trouble == "none"


def test_a_host_that_fell_silent_is_said_for_an_hour_and_forgotten_after_a_day(tmp_path: Path):
    for host, age_s in {"a": SILENT_S + 1, "b": SAID_S + 1, "c": FORGOTTEN_S + 1}.items():
        tell(tmp_path, host, age_s=age_s)

    hosts = looked(tmp_path)

    assert not hosts.workers()
    [said] = hosts.silent()
    assert said.startswith("host a has told nothing for 2 minutes")
    assert sorted(path.stem for path in (tmp_path / HOSTS).iterdir()) == ["a", "b"]


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.01)


class Bare(Place, frozen=True, kw_only=True):
    """A place on a host where a package is missing."""

    def open(self, spool: Path | None = None) -> Store:
        del spool
        message = "pip install"
        raise MissingPackageError(message)


def test_the_newest_snapshot_that_any_host_ever_told_of_is_known_and_nonsense_is_not(tmp_path: Path):
    assert looked(tmp_path).newest() == (0, 0)
    tell(tmp_path, "north", age_s=SILENT_S + 1)
    assert looked(tmp_path).newest() == (1, 7)

    for host, epoch in (("south", 4), ("west", 2**62)):
        worker = msgspec.structs.replace(WORKER, snapshot_epoch=epoch)
        told = Presence(host=host, at=int(NOW_S * 1_000_000), workers=(WORKER, worker))
        (tmp_path / HOSTS / f"{host}.json").write_bytes(msgspec.json.encode(told))
    assert looked(tmp_path).newest() == (4, 7)


class Broken(Place, frozen=True, kw_only=True):
    """A place with a fault that nobody foresaw."""

    def open(self, spool: Path | None = None) -> Store:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Bare(url="s3://b"), "what other hosts tell cannot be read"),
        (Broken(url="s3://b"), "reading of other hosts failed"),
    ],
)
def test_a_lake_that_cannot_be_read_is_said_and_keeps_nobody(place: Place, said: str, caplog: pytest.LogCaptureFixture):
    hosts, stop = Hosts(place), threading.Event()
    with caplog.at_level(logging.WARNING):
        thread = threading.Thread(target=hosts.run, args=(stop,))
        thread.start()
        until(lambda: said in caplog.text)
        stop.set()
        thread.join()

    assert not hosts.workers()


def test_where_there_are_no_other_hosts_nothing_is_known():
    assert (list(Alone().workers()), list(Alone().silent())) == ([], [])
