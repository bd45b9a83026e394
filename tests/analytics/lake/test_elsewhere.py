"""Several hosts write one directory as their lake; whoever verifies sees one journal at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analytics.journal.writer import Writer
from analytics.lake.elsewhere import SILENT_S, Gap, Silent, silent_hosts, told_apart
from analytics.lake.host import host_name
from analytics.lake.layout import Heartbeat
from analytics.lake.presence import Presence
from analytics.lake.shipper import Shipper
from analytics.lake.verify import Verification, verify
from analytics.record import Opened, Record

Open = Callable[[int], Opened]
Close = Callable[[int], Record]
US = 1_000_000


class Host:
    """One host: a journal and a shipper of its own; its one worker is called as every host's."""

    def __init__(self, root: Path, name: str) -> None:
        self.lake, self.journal = root / "lake", root / name / "journal"
        self.shipper = Shipper(self.journal, self.lake)
        self.writer = Writer(self.journal, "w0", f"{name}boot")

    def verified(self) -> Verification:
        return verify(self.lake, self.journal, sleep=lambda _: None)

    def close(self) -> None:
        self.writer.close()
        self.shipper.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    hosts = Host(tmp_path, "one"), Host(tmp_path, "two")
    yield hosts
    for host in hosts:
        host.close()


def test_each_host_of_a_shared_directory_has_heartbeats_of_its_own(two: tuple[Host, Host]) -> None:
    for host in two:
        host.shipper.tick()

    assert {beat.host for beat in two[0].verified().heartbeats} == {host_name(host.journal) for host in two}


def test_a_file_of_another_host_that_was_removed_is_missing_be_it_its_last_one(
    two: tuple[Host, Host], closed: Close
) -> None:
    one, other = two
    one.shipper.tick()
    for seq in (1, 2, 3):
        other.writer.append(closed(seq))
    other.shipper.tick()
    before = one.verified()
    [file] = (one.lake / "incoming").glob("w0-twoboot-*.parquet")
    file.unlink()
    after = one.verified()

    assert (before.sound, before.records) == (True, 3)
    assert (after.sound, after.missing) == (False, 3)
    assert after.gaps == [Gap(worker="w0", boot="twoboot", first_seq=1, last_seq=3)]


def test_what_another_host_has_open_is_on_another_host_and_not_missing(
    two: tuple[Host, Host], opened: Open, closed: Close
) -> None:
    one, other = two
    one.shipper.tick()
    for seq in (1, 2, 3):
        other.writer.append(opened(seq))
    other.writer.append(closed(3))
    other.shipper.tick()

    assert (one.verified().missing, one.verified().elsewhere, one.verified().sound) == (0, 2, True)


def test_a_host_is_silent_when_neither_of_its_words_is_young_and_it_has_not_ended() -> None:
    now = 1_000 * US
    told = [Presence(host=host, at=US) for host in ("beats", "silent")]
    beats = [
        Heartbeat(worker="w0", boot="b1", last_seq=0, at=now, host="beats"),
        Heartbeat(worker="w0", boot="b2", last_seq=0, at=US, host="ended"),
        Heartbeat(worker="w0", boot="b3", last_seq=0, at=US),
    ]

    assert silent_hosts(told, beats, now) == [Silent(host="silent", told_at=US)]
    assert silent_hosts(told, beats, round(SILENT_S) * US + US) == []


def test_a_gap_is_cut_at_what_its_host_has_settled() -> None:
    gap = Gap(worker="w0", boot="b1", first_seq=3, last_seq=9)
    beat = Heartbeat(worker="w0", boot="b1", last_seq=12, at=1, host="other", settled_to=5)

    assert told_apart([gap], [beat], "own") == ([Gap(worker="w0", boot="b1", first_seq=3, last_seq=5)], 4)
    assert told_apart([gap], [beat], "other") == ([gap], 0)
