from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.content import Content
from analytics.feedback import Feedback
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import segments
from analytics.journal.writer import Writer
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.unsealed import TooMuchUnsealedError, Unsealed
from analytics.record import Opened, Record

Open = Callable[[int], Opened]
Close = Callable[[int], Record]


def seqs(found: Unsealed, folder: str = INCOMING) -> list[int]:
    return [json.loads(line)["seq"] for line in found.rows[folder]]


def ends(journal: Path) -> list[int]:
    [name] = segments(journal)
    with SegmentReader(journal / name.file_name) as reader:
        return [end for end, _ in reader.frames()]


def test_what_lies_beyond_the_sealed_end_of_a_living_workers_segment_is_there_with_its_worker_and_boot(
    tmp_path: Path, opened: Open, closed: Close, said: Callable[[int], Feedback]
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    content = Content(
        kind="request", seq=1, application="a", captured_at=1, expires_at=2, body=b"never here", size_bytes=10
    )
    for frame in (closed(1), said(1), opened(2), closed(2), said(2)):
        writer.append(frame)
    writer.append_content(content)
    found, rest = Unsealed(), Unsealed()
    found.read(tmp_path, {})
    rest.read(tmp_path, {("w0", "b1"): {1: ends(tmp_path)[1]}, ("w0", "b0"): {1: 10**9}})

    assert (seqs(found), seqs(found, FEEDBACK)) == ([1, 2], [1, 2])
    assert (seqs(rest), seqs(rest, FEEDBACK)) == ([2], [2])
    assert json.loads(rest.rows[INCOMING][0]).items() >= {"worker": "w0", "boot": "b1", "outcome": "ok"}.items()
    assert not any(b"never here" in line for lines in found.rows.values() for line in lines)
    writer.close()


def test_of_a_dead_worker_also_what_it_left_open_before_the_sealed_end_is_there(
    tmp_path: Path, opened: Open, closed: Close
) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    for frame in (opened(1), opened(2), closed(2), opened(3), closed(3)):
        writer.append(frame)
    writer.close()
    found = Unsealed()
    found.read(tmp_path, {("w0", "b1"): {1: ends(tmp_path)[2]}})

    assert [(one["seq"], one["outcome"]) for one in map(json.loads, found.rows[INCOMING])] == [
        (3, "ok"),
        (1, "interrupted"),
    ]


def test_more_than_is_read_for_one_question_is_refused(tmp_path: Path, closed: Close) -> None:
    writer = Writer(tmp_path, "w0", "b1")
    for seq in range(1, 100):
        writer.append(closed(seq))
    size = ends(tmp_path)[-1]
    Unsealed(size).read(tmp_path, {})

    with pytest.raises(TooMuchUnsealedError):
        Unsealed(size // 2).read(tmp_path, {})
    writer.close()


def test_a_segment_that_nobody_can_read_is_left_to_the_shipper_and_no_journal_is_an_empty_one(
    tmp_path: Path, closed: Close
) -> None:
    (tmp_path / "w0-b0-000001.segment").write_bytes(b"no head")
    writer = Writer(tmp_path, "w0", "b1")
    writer.append(closed(1))
    found = Unsealed()
    found.read(tmp_path, {})
    found.read(tmp_path / "nowhere", {})

    assert seqs(found) == [1]
    writer.close()
