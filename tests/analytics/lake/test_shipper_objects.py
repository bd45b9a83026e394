"""Shippers of several hosts carry their journals into one bucket, whatever becomes of their calls."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from analytics.content import Content, expiry
from analytics.feedback import Feedback
from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.host import host_name
from analytics.lake.layout import Lake
from analytics.lake.shipper import Shipper, wall_clock
from analytics.lake.verify import Verification, verify
from analytics.record import Opened, Record
from tests.fakes.object_server import Bucket, Fate, SpoilingProxy, serving_objects

Open = Callable[[int], Opened]
Close = Callable[[int], Record]


@pytest.fixture(scope="session")
def object_port() -> Iterator[int]:
    with serving_objects() as port:
        yield port


@pytest.fixture
def bucket(object_port: int) -> Bucket:
    made = Bucket(f"t-{uuid.uuid4()}", object_port)
    made.ask("PUT")
    return made


def kept(seq: int) -> Content:
    at = wall_clock()
    ends = expiry(at, 3)
    return Content(
        kind="request", seq=seq, application="shop", captured_at=at, expires_at=ends, body=b"hello", size_bytes=5
    )


@pytest.fixture
def proxy(object_port: int) -> Iterator[SpoilingProxy]:
    with SpoilingProxy(object_port).running() as running:
        yield running


@dataclass
class Said:
    """What a shipper logged."""

    events: list[tuple[str, dict[str, object]]]

    def __call__(self, _level: str, event: str, fields: dict[str, object]) -> None:
        self.events.append((event, fields))

    def names(self) -> list[str]:
        return [event for event, _ in self.events]


class Host:
    """A state directory with its journal; its shipper is made anew whenever it is asked for after `crash`."""

    def __init__(self, folder: Path, bucket: Bucket, port: int) -> None:
        self.journal = folder / "journal"
        self.said = Said([])
        self._bucket = Bucket(bucket.name, port)
        self._shipper: Shipper | None = None

    @property
    def shipper(self) -> Shipper:
        if self._shipper is None:
            store = self._bucket.store("/lake", self.journal / "outbox", tries=1)
            self._shipper = Shipper(self.journal, store, log=self.said)
        return self._shipper

    def crash(self) -> None:
        if self._shipper is not None:
            self._shipper.close()
        self._shipper = None

    def settle(self, ticks: int = 300) -> None:
        """Tick until nothing is left, as a shipper does that runs for ever."""
        for _ in range(ticks):
            self.shipper.tick()
            if not segments(self.journal) and not list((self.journal / "outbox").iterdir()):
                return
        pytest.fail(f"not settled after {ticks} ticks: {self.said.events[-3:]}")


def looked(bucket: Bucket, journal: Path) -> Verification:
    return verify(bucket.store("/lake"), journal, sleep=lambda _: None)


def test_what_a_shipper_carried_is_in_the_bucket_under_the_names_that_a_directory_has(
    tmp_path: Path, bucket: Bucket, closed: Close
) -> None:
    host = Host(tmp_path, bucket, bucket.port)
    writer = Writer(host.journal, "w0", "b1")
    for seq in (1, 2):
        writer.append(closed(seq))
    writer.close()
    assert host.shipper.tick() == 2

    store = bucket.store("/lake")
    [name] = store.names("incoming")
    assert name.startswith("w0-b1-000001-")
    assert list(store.names("incoming/heartbeats")) == [f"{host_name(host.journal)}-w0.json"]
    assert looked(bucket, host.journal).records == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fates", "requests"),
    [
        (("500", "reset_after", "late"), 20),
        *(pytest.param((fate,), 60, marks=pytest.mark.slow) for fate in ("500", "reset", "reset_after", "late")),
    ],
)
def test_with_one_of_three_calls_failing_two_hosts_lose_nothing_and_double_nothing(
    tmp_path: Path,
    bucket: Bucket,
    proxy: SpoilingProxy,
    opened: Open,
    closed: Close,
    fates: tuple[Fate, ...],
    requests: int,
) -> None:
    spoiling, rng = itertools.cycle(fates), random.Random(5)
    proxy.judge = lambda _method, _path: "pass" if rng.random() > 1 / 3 else next(spoiling)
    hosts = [Host(tmp_path / name, bucket, proxy.port) for name in ("one", "two")]
    writers = [Writer(host.journal, "w0", f"b{at}", segment_bytes=2000) for at, host in enumerate(hosts)]
    for seq in range(1, requests + 1):
        for host, writer in zip(hosts, writers, strict=True):
            writer.append(opened(seq))
            if seq % 5:
                writer.append(closed(seq))
            if seq % 10 == 0:
                host.crash()
            if seq % 4 == 0:
                host.shipper.tick()
    for host, writer in zip(hosts, writers, strict=True):
        writer.close()
        host.settle()

    found = looked(bucket, hosts[0].journal)
    assert (found.records, found.missing, found.duplicate_seqs) == (2 * requests, 0, 0)
    assert found.outcomes == {"ok": 8 * requests // 5, "interrupted": 2 * requests // 5}
    assert sum(proxy.fates[fate] for fate in fates) >= 5


def test_while_the_store_is_away_segments_stay_and_the_log_says_what_waits(
    tmp_path: Path, bucket: Bucket, proxy: SpoilingProxy, closed: Close
) -> None:
    host = Host(tmp_path, bucket, proxy.port)
    writer = Writer(host.journal, "w0", "b1", segment_bytes=400)
    host.shipper.tick()
    proxy.judge = lambda _method, _path: "reset"
    for seq in range(1, 10):
        writer.append(closed(seq))
        host.shipper.tick()
    away = dict(host.said.events)["store_away"]
    waiting = len(segments(host.journal))
    proxy.judge = lambda _method, _path: "pass"
    writer.close()
    host.settle()

    assert waiting > 1
    assert isinstance(away["waiting_bytes"], int)
    assert away["waiting_bytes"] > 0
    assert host.said.names().count("store_back") == 1
    assert host.shipper.counts.failures >= 9
    found = looked(bucket, host.journal)
    assert (found.records, found.missing, found.duplicate_seqs) == (9, 0, 0)


def test_what_was_on_its_way_when_the_shipper_died_is_put_again_as_it_was(
    tmp_path: Path, bucket: Bucket, proxy: SpoilingProxy, closed: Close
) -> None:
    host = Host(tmp_path, bucket, proxy.port)
    writer = Writer(host.journal, "w0", "b1")
    writer.append(closed(1))
    proxy.judge = lambda method, _path: "late" if method == "PUT" else "pass"
    host.shipper.tick()
    host.crash()
    writer.append(closed(2))
    writer.close()
    proxy.judge = lambda _method, _path: "pass"
    host.settle()

    assert proxy.fates["late"] >= 1
    with duckdb.connect() as connection:
        store = bucket.store("/lake")
        store.attach(connection)
        assert len(store.sizes("incoming")) == 2
        rows = connection.execute(f"SELECT seq FROM read_parquet('{store.pattern('incoming')}') ORDER BY seq")
        assert rows.fetchall() == [(1,), (2,)]


def test_requests_that_are_open_on_another_host_are_no_gap(
    tmp_path: Path, bucket: Bucket, opened: Open, closed: Close
) -> None:
    one, two = [Host(tmp_path / name, bucket, bucket.port) for name in ("one", "two")]
    writer = Writer(one.journal, "w0", "b1")
    two.shipper.tick()
    for seq in range(1, 4):
        writer.append(opened(seq))
    writer.append(closed(1))
    writer.append(closed(3))
    one.shipper.tick()
    here, there = looked(bucket, one.journal), looked(bucket, two.journal)
    writer.append(closed(2))
    writer.close()
    one.shipper.tick()
    after = looked(bucket, two.journal)

    assert (here.missing, here.elsewhere, here.open, here.sound) == (0, 0, 1, True)
    assert (there.missing, there.elsewhere, there.sound) == (0, 1, True)
    assert (after.missing, after.elsewhere, after.records) == (0, 0, 3)


def test_a_request_that_another_host_settled_and_that_is_nowhere_is_a_gap(
    tmp_path: Path, bucket: Bucket, closed: Close
) -> None:
    one, two = [Host(tmp_path / name, bucket, bucket.port) for name in ("one", "two")]
    writer = Writer(one.journal, "w0", "b1")
    two.shipper.tick()
    for seq in (1, 3):
        writer.append(closed(seq))
    one.shipper.tick()
    writer.close()

    assert looked(bucket, two.journal).missing == 1


def test_content_and_feedback_come_to_folders_of_their_own_and_content_goes_after_its_day(
    tmp_path: Path, bucket: Bucket, closed: Close, said: Callable[[int], Feedback]
) -> None:
    host = Host(tmp_path, bucket, bucket.port)
    writer = Writer(host.journal, "w0", "b1")
    for seq in (1, 2):
        writer.append(closed(seq))
        writer.append(said(seq))
        writer.append(kept(seq))
    writer.close()
    host.shipper.tick()
    lake = Lake(bucket.store("/lake"))
    [day] = lake.store.folders("content")
    last_day = date.fromisoformat(day.removeprefix("expires="))

    assert lake.remove_expired(last_day) == 0
    assert len(lake.files(f"content/{day}")) == 1
    assert len(lake.files("incoming/feedback")) == 1
    assert looked(bucket, host.journal).feedback.records == 2
    assert lake.remove_expired(last_day + timedelta(days=1)) == 1
    assert list(lake.store.folders("content")) == []
