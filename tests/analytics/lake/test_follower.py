"""What a shipper does with one boot's journal, seen through the shipper, its only user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.journal.recovery import quarantined
from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.settling import GRACE_S
from analytics.lake.shipper import Shipper
from analytics.record import Opened, Record

Ask = Callable[[str], list[Any]]
Open = Callable[[int], Opened]
Close = Callable[[int], Record]


def seqs(ask: Ask, where: str = "true") -> list[int]:
    return [seq for (seq,) in ask(f"SELECT seq FROM records WHERE {where} ORDER BY seq")]


def journal(state: Path, boot: str = "b1", *, segment_bytes: int = 1 << 20) -> Writer:
    return Writer(state / "journal", "w0", boot, segment_bytes=segment_bytes)


def test_closed_requests_come_to_the_lake_once_and_open_ones_wait(
    state: Path, shipper: Shipper, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = journal(state)
    writer.append(opened(1))
    writer.append(closed(1))
    writer.append(opened(2))
    first = [shipper.tick(), shipper.tick()]
    writer.append(closed(2))
    second = [shipper.tick(), shipper.tick()]

    assert (first, second) == ([1, 0], [1, 0])
    assert seqs(ask) == [1, 2]
    writer.close()


def test_an_unclosed_request_of_a_dead_worker_is_interrupted_once_and_its_segment_removed(
    state: Path, shipper: Shipper, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = journal(state)
    writer.append(opened(1))
    writer.append(opened(2))
    writer.append(closed(2))
    writer.close()

    assert [shipper.tick(), shipper.tick()] == [2, 0]
    assert ask("SELECT seq, outcome FROM records ORDER BY seq") == [(1, "interrupted"), (2, "ok")]
    assert segments(state / "journal") == []


def test_a_request_of_a_living_worker_is_interrupted_a_minute_after_its_total_timeout_and_a_late_close_is_dropped(
    state: Path, shipper: Shipper, clock: Any, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = journal(state)
    writer.append(opened(1))
    shipper.tick()
    clock.now_s += 600 + GRACE_S - 1
    before = shipper.tick()
    clock.now_s += 1
    after = shipper.tick()
    writer.append(closed(1))
    shipper.tick()

    assert (before, after) == (0, 1)
    assert shipper.counts.late == 1
    assert ask("SELECT seq, outcome FROM records") == [(1, "interrupted")]
    writer.close()


def test_a_late_close_is_dropped_by_the_next_shipper_too(
    state: Path, clock: Any, ask: Ask, opened: Open, closed: Close
) -> None:
    shipper = Shipper(state / "journal", state / "lake", monotonic=clock)
    writer = journal(state)
    writer.append(opened(1))
    shipper.tick()
    clock.now_s += 600 + GRACE_S
    shipper.tick()
    shipper.close()
    writer.append(closed(1))
    writer.append(closed(2))
    writer.close()
    following = Shipper(state / "journal", state / "lake", monotonic=clock)
    following.tick()
    following.close()

    assert ask("SELECT seq, outcome FROM records ORDER BY seq") == [(1, "interrupted"), (2, "ok")]
    assert following.counts.late == 1


def test_a_request_without_a_deadline_waits_as_long_as_its_worker_lives(
    state: Path, shipper: Shipper, clock: Any, ask: Ask
) -> None:
    writer = journal(state)
    writer.append(Opened(request_id="0199b0c0-0000-7000-8000-000000000001", seq=1, started_at=1))
    shipper.tick()
    clock.now_s += 1e9

    assert shipper.tick() == 0
    writer.close()
    assert shipper.tick() == 1


def test_a_segment_stays_until_every_request_opened_in_it_is_settled_and_so_do_those_after_it(
    state: Path, shipper: Shipper, ask: Ask, opened: Open, closed: Close
) -> None:
    writer = journal(state, segment_bytes=1000)
    writer.append(opened(1))
    for seq in range(2, 40):
        writer.append(opened(seq))
        writer.append(closed(seq))
    shipper.tick()
    kept = segments(state / "journal")
    writer.append(closed(1))
    shipper.tick()

    assert [name.number for name in kept] == list(range(1, len(kept) + 1))
    assert len(kept) > 3
    assert len(segments(state / "journal")) == 1
    assert seqs(ask) == list(range(1, 40))
    writer.close()


def test_a_new_shipper_goes_on_where_the_lake_ends(state: Path, ask: Ask, opened: Open, closed: Close) -> None:
    writer = journal(state, segment_bytes=1500)
    for seq in range(1, 61):
        writer.append(opened(seq))
        writer.append(closed(seq - 3) if seq > 3 else closed(1000 + seq))
        if seq % 4 == 0:
            shipper = Shipper(state / "journal", state / "lake")
            shipper.tick()
            shipper.close()
    writer.close()
    shipper = Shipper(state / "journal", state / "lake")
    shipper.tick()
    shipper.close()

    assert seqs(ask) == [*range(1, 61), 1001, 1002, 1003]
    assert seqs(ask, "outcome = 'interrupted'") == [58, 59, 60]


def test_a_torn_tail_is_quarantined_and_the_rest_is_shipped(
    state: Path, shipper: Shipper, ask: Ask, closed: Close
) -> None:
    writer = journal(state)
    writer.append(closed(1))
    writer.append(closed(2))
    writer.close()
    [name] = segments(state / "journal")
    path = state / "journal" / name.file_name
    os.truncate(path, path.stat().st_size - 1)
    shipper.tick()

    assert seqs(ask) == [1]
    assert (shipper.counts.quarantined, quarantined(state / "journal")) == (1, 1)
    assert segments(state / "journal") == []


def test_a_segment_without_a_sound_head_is_set_aside_whole(
    state: Path, shipper: Shipper, ask: Ask, closed: Close
) -> None:
    (state / "journal" / "w0-b1-000001.segment").write_bytes(bytes(100))
    writer = journal(state, "b2")
    writer.append(closed(1))
    writer.close()
    shipper.tick()
    shipper.tick()

    assert seqs(ask) == [1]
    assert segments(state / "journal") == []
    assert quarantined(state / "journal") == 1


def test_a_segment_with_frames_of_unknown_content_is_set_aside_after_the_others_were_shipped(
    state: Path, shipper: Shipper, ask: Ask, closed: Close
) -> None:
    writer = journal(state)
    writer.append(Record(request_id="x", seq=1, started_at=1, outcome="exploded"))  # pyright: ignore[reportArgumentType] - that is the point
    writer.append(closed(2))
    writer.close()
    shipper.tick()

    assert seqs(ask) == [2]
    assert shipper.counts.undecodable == 1
    assert [path.name for path in (state / "journal" / "quarantine").iterdir()] == ["w0-b1-000001.segment"]


@pytest.mark.parametrize("at", [1, 5, 8])
def test_a_record_that_fits_no_column_is_set_aside_alone(
    state: Path, shipper: Shipper, ask: Ask, closed: Close, at: int
) -> None:
    writer = journal(state)
    for seq in range(1, 9):
        writer.append(closed(seq) if seq != at else Record(request_id="no uuid", seq=seq, started_at=1, outcome="ok"))
    writer.close()
    shipper.tick()

    assert seqs(ask) == [seq for seq in range(1, 9) if seq != at]
    assert shipper.counts.unwritable == 1
    [aside] = (state / "journal" / "quarantine").iterdir()
    assert b"no uuid" in aside.read_bytes()
    assert segments(state / "journal") == []


def test_an_unclosed_request_that_fits_no_column_is_set_aside_and_its_segment_goes(
    state: Path, shipper: Shipper, ask: Ask, opened: Open
) -> None:
    writer = journal(state)
    writer.append(Opened(request_id="no uuid", seq=1, started_at=1))
    writer.append(opened(2))
    writer.close()
    shipper.tick()

    assert seqs(ask) == [2]
    assert segments(state / "journal") == []


def test_many_unclosed_requests_are_interrupted_in_several_files(
    state: Path, shipper: Shipper, ask: Ask, opened: Open
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in range(1, 20_001):
        writer.append(opened(seq))
    writer.close()
    shipper.tick()

    assert ask("SELECT count(*), count(DISTINCT seq) FROM records WHERE outcome = 'interrupted'") == [(20_000,) * 2]
    assert len(list((state / "lake" / "incoming").glob("*.parquet"))) == 2


def test_many_records_come_in_several_files(state: Path, shipper: Shipper, ask: Ask, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in range(1, 20_001):
        writer.append(closed(seq))
    writer.close()
    shipper.tick()

    assert ask("SELECT count(*), count(DISTINCT seq), count(DISTINCT request_id) FROM records") == [(20_000,) * 3]
    assert len(list((state / "lake" / "incoming").glob("*.parquet"))) == 2
