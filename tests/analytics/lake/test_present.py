from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from analytics.journal.writer import Writer
from analytics.lake.directory import Directory
from analytics.lake.host import host_name
from analytics.lake.layout import INCOMING, Heartbeat, Lake
from analytics.lake.presence import HOSTS, Presence
from analytics.lake.present import look
from analytics.lake.shipper import Shipper
from analytics.record import Record

NOW = 1_790_000_000_000_000
MINUTE = 60_000_000


def now() -> int:
    return NOW


def tell(lake: Path, host: str, *, at: int, fresh_to: int | None = None, is_present: bool = True) -> None:
    Lake(lake, host).beat(Heartbeat(worker="w0", boot=host, last_seq=1, at=at, host=host, fresh_to=fresh_to))
    if is_present:
        Directory(lake).prepare(HOSTS)
        Directory(lake).replace(f"{HOSTS}/{host}.json", msgspec.json.encode(Presence(host=host, at=at)))


def test_with_its_journal_a_hosts_answer_is_as_fresh_as_the_question(
    tmp_path: Path, closed: Callable[[int], Record]
) -> None:
    writer = Writer(tmp_path / "journal", "w0", "b1")
    writer.append(closed(1))
    found = look(Directory(tmp_path / "lake"), tmp_path / "journal", now)
    writer.close()

    assert (found.asked_at, found.freshness.fresh_to, found.freshness.warnings) == (NOW, NOW, ())
    assert [one.host for one in found.freshness.hosts] == ["this host"]
    assert len(found.unsealed[INCOMING]) == 1


def test_a_journal_that_holds_too_much_or_cannot_be_read_is_left_out_and_it_is_said_since_when(
    tmp_path: Path, closed: Callable[[int], Record]
) -> None:
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake", lambda: NOW - 60 * MINUTE)
    writer = Writer(tmp_path / "journal", "w0", "b1")
    shipper.tick()
    shipper.close()
    for seq in range(1, 20):
        writer.append(closed(seq))
    lake = Directory(tmp_path / "lake")
    full = look(lake, tmp_path / "journal", now, 1000)
    (tmp_path / "journal" / "w0-b2-000001.segment").mkdir()
    broken = look(lake, tmp_path / "journal", now)
    writer.close()

    for found in (full, broken):
        assert found.freshness.fresh_to == NOW - 60 * MINUTE
        assert not any(found.unsealed.values())
        assert "what this host recorded after 2026-09-21 13:13:20 UTC is missing" in found.freshness.warnings[0]
    assert "more than" in full.freshness.warnings[0]
    assert "cannot be read" in broken.freshness.warnings[0]


def test_without_a_journal_an_answer_is_as_fresh_as_the_other_hosts_say(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    Lake(lake).prepare()
    tell(lake, "one", at=NOW - 1_000_000, fresh_to=NOW - 2_000_000)
    tell(lake, "two", at=NOW - 3_000_000)
    tell(lake, "ended", at=NOW - 60 * MINUTE, is_present=False)
    heard = look(Directory(lake), tmp_path / "nowhere", now).freshness
    tell(lake, "two", at=NOW - 5 * MINUTE, fresh_to=NOW - 6 * MINUTE)
    silent = look(Directory(lake), None, now).freshness

    assert [(one.host, one.fresh_to) for one in heard.hosts] == [("one", NOW - 2_000_000), ("two", NOW - 3_000_000)]
    assert heard.fresh_to == NOW - 3_000_000
    assert (silent.fresh_to, [one.host for one in silent.hosts if one.is_silent]) == (NOW - 2_000_000, ["two"])
    assert "host two has told nothing since" in silent.warnings[0]


def test_where_every_host_has_ended_an_answer_is_as_fresh_as_they_left_the_lake(tmp_path: Path) -> None:
    Lake(tmp_path).prepare()
    empty = look(Directory(tmp_path), None, now).freshness
    tell(tmp_path, "ended", at=NOW - 60 * MINUTE, is_present=False)

    assert (empty.fresh_to, empty.hosts) == (None, ())
    assert look(Directory(tmp_path), None, now).freshness.fresh_to == NOW - 60 * MINUTE


def test_a_shippers_heartbeat_says_up_to_when_everything_is_in_the_lake_and_where_it_stands(
    tmp_path: Path, closed: Callable[[int], Record]
) -> None:
    writer = Writer(tmp_path / "journal", "w0", "b1")
    writer.append(closed(1))
    before = time.time_ns() // 1000
    shipper = Shipper(tmp_path / "journal", tmp_path / "lake")
    shipper.tick()
    after = time.time_ns() // 1000
    [beat] = Lake(tmp_path / "lake").all_heartbeats()
    name = host_name(tmp_path / "journal")
    found = look(Directory(tmp_path / "lake"), tmp_path / "journal", now)
    writer.close()
    shipper.close()

    assert beat.fresh_to is not None
    assert before <= beat.fresh_to <= beat.at <= after
    assert (beat.host, list(beat.sealed)) == (name, [1])
    assert not any(found.unsealed.values())
