from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from analytics.feedback import Feedback
from analytics.journal.writer import Writer
from analytics.lake.elsewhere import Gap
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.shipper import Shipper
from analytics.lake.verify import NoLakeError, Verification, verify
from analytics.record import Opened, Record

Open = Callable[[int], Opened]
Close = Callable[[int], Record]
Said = Callable[[int], Feedback]


def look(state: Path) -> Verification:
    return verify(state / "lake", state / "journal", sleep=lambda _: None)


def test_where_there_is_no_lake_the_message_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(NoLakeError, match="--lake"):
        look(tmp_path)


def test_an_empty_lake_is_sound(state: Path, shipper: Shipper) -> None:
    found = look(state)

    assert found.sound
    assert (found.records, found.files, found.outcomes) == (0, 0, {})


def test_what_is_open_or_waiting_in_the_journal_is_no_gap(
    state: Path, shipper: Shipper, opened: Open, closed: Close
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(opened(1))
    writer.append(closed(2))
    shipper.tick()
    writer.append(closed(3))
    found = look(state)

    assert found.sound
    assert (found.records, found.waiting, found.open) == (1, 1, 1)
    assert [(beat.worker, beat.last_seq) for beat in found.heartbeats] == [("w0", 2)]
    writer.close()


def test_records_are_counted_by_outcome(state: Path, shipper: Shipper, opened: Open, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(opened(1))
    writer.append(closed(2))
    writer.append(closed(3))
    writer.close()
    shipper.tick()
    found = look(state)

    assert (found.outcomes, found.files) == ({"ok": 2, "interrupted": 1}, 2)
    assert found.size_bytes == sum(path.stat().st_size for path in (state / "lake" / "incoming").glob("*.parquet"))


def test_missing_requests_are_named_by_boot_and_number(state: Path, shipper: Shipper, closed: Close) -> None:
    for boot, seqs in {"b1": (2, 3, 7), "b2": (1, 2)}.items():
        writer = Writer(state / "journal", "w0", boot)
        for seq in seqs:
            writer.append(
                Record(request_id=f"0199b0c0-0000-7000-8{boot[1]}00-{seq:012x}", seq=seq, started_at=1, outcome="ok")
            )
        writer.close()
    shipper.tick()
    found = look(state)

    assert not found.sound
    assert found.gaps == [
        Gap(worker="w0", boot="b1", first_seq=1, last_seq=1),
        Gap(worker="w0", boot="b1", first_seq=4, last_seq=6),
    ]
    assert found.missing == 4


def test_a_file_that_is_there_twice_is_found(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    writer.append(closed(2))
    writer.close()
    shipper.tick()
    [path] = (state / "lake" / "incoming").glob("*.parquet")
    shutil.copy(path, path.with_name("copy.parquet"))
    found = look(state)

    assert not found.sound
    assert (found.duplicate_request_ids, found.duplicate_seqs, found.missing) == (2, 2, 0)


def test_one_request_id_under_two_numbers_is_a_duplicate(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    writer.append(Record(request_id=closed(1).request_id, seq=2, started_at=1, outcome="ok"))
    writer.close()
    shipper.tick()
    found = look(state)

    assert (found.sound, found.duplicate_request_ids, found.duplicate_seqs) == (False, 1, 0)


def test_quarantined_tails_and_unreadable_segments_are_counted(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    writer.close()
    with (state / "journal" / "w0-b1-000001.segment").open("ab") as segment:
        segment.write(b"torn")
    shipper.tick()
    (state / "journal" / "w0-b2-000001.segment").write_bytes(b"nonsense")
    found = look(state)

    assert (found.sound, found.records, found.quarantined, found.unreadable) == (True, 1, 1, 1)


@pytest.mark.parametrize("folder", [INCOMING, FEEDBACK])
@pytest.mark.parametrize("body", [b"", b"no Parquet", None])
def test_files_that_cannot_be_read_are_named_and_all_others_are_counted(
    state: Path, shipper: Shipper, closed: Close, folder: str, body: bytes | None
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(1))
    shipper.tick()
    writer.append(closed(2))
    shipper.tick()
    writer.close()
    torn = state / "lake" / folder / "w0-b9-000001-0-1.parquet"
    torn.parent.mkdir(parents=True, exist_ok=True)
    if body is None:
        duckdb.execute(f"COPY (SELECT 1 AS another) TO '{torn}' (FORMAT parquet)")
    else:
        torn.write_bytes(body)
    found = look(state)

    assert list(found.torn) == [f"{folder}/{torn.name}"]
    assert found.torn[f"{folder}/{torn.name}"]
    assert (found.sound, found.records, found.missing, found.files) == (False, 2, 0, 3)


def test_what_a_torn_file_held_is_missing(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in (1, 2, 3):
        writer.append(closed(seq))
        shipper.tick()
    writer.close()
    shipper.tick()
    _, second, _ = sorted((state / "lake/incoming").glob("*.parquet"))
    second.write_bytes(second.read_bytes()[:-20])
    found = look(state)

    assert (found.sound, found.records, found.missing) == (False, 2, 1)
    assert list(found.torn) == [f"incoming/{second.name}"]


def test_a_gap_that_closes_while_we_look_again_is_none(state: Path, shipper: Shipper, closed: Close) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(closed(2))
    found = verify(state / "lake", state / "journal", sleep=lambda _: writer.append(closed(1)))

    assert found.sound
    writer.close()


def test_feedback_is_counted_apart_from_requests_and_by_numbers_of_its_own(
    state: Path, shipper: Shipper, closed: Close, said: Said
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in (1, 2):
        writer.append(closed(seq))
    for seq in (1, 2, 3):
        writer.append(said(seq))
    shipper.tick()
    writer.append(said(4))
    found = look(state)
    writer.close()

    assert found.sound
    assert (found.records, found.files, found.feedback.records, found.feedback.waiting) == (2, 2, 3, 1)


def test_missing_feedback_is_named_and_the_requests_are_not(
    state: Path, shipper: Shipper, closed: Close, said: Said
) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    for seq in (1, 2, 3):
        writer.append(closed(seq))
    for seq in (2, 3, 6):
        writer.append(said(seq))
    writer.close()
    shipper.tick()
    found = look(state)

    assert (found.sound, found.gaps, found.feedback.missing) == (False, [], 3)
    assert found.feedback.gaps == [
        Gap(worker="w0", boot="b1", first_seq=1, last_seq=1),
        Gap(worker="w0", boot="b1", first_seq=4, last_seq=5),
    ]


def test_feedback_that_is_there_twice_is_found(state: Path, shipper: Shipper, said: Said) -> None:
    writer = Writer(state / "journal", "w0", "b1")
    writer.append(said(1))
    writer.close()
    shipper.tick()
    [path] = (state / "lake" / "incoming" / "feedback").glob("*.parquet")
    shutil.copy(path, path.with_name("copy.parquet"))
    found = look(state)

    assert not found.sound
    assert (found.feedback.duplicate_feedback_ids, found.feedback.duplicate_seqs) == (1, 1)
    assert (found.duplicate_request_ids, found.missing) == (0, 0)
