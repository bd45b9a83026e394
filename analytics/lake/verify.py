"""Count what the lake holds against what the journals say: every request once, none missing.

Sound means 0 duplicates and 0 gaps. It may run beside workers and shipper: what moves from journal to lake meanwhile is
seen at least once, because the journal is read before the lake and again after it; and a gap must last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.recovery import quarantined
from analytics.journal.segment import segments
from analytics.lake.layout import Heartbeat, Lake
from analytics.record import Opened

_LOOK_AGAIN_S = 0.5
_MORE_LOOKS = 2
_COLUMNS = {"request_id": "UUID", "worker": "VARCHAR", "boot": "VARCHAR", "seq": "BIGINT", "outcome": "VARCHAR"}


class NoLakeError(ValueError):
    """There is no lake where one was looked for."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Requests `first_seq` to `last_seq` (inclusive) of one boot are nowhere."""

    worker: str
    boot: str
    first_seq: int
    last_seq: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `waiting`: requests closed in the journal and not yet in the lake; `open`: not closed yet.

    `missing` is the number of requests in `gaps`; `duplicate_*` are surplus rows; `quarantined` files of unsound bytes
    lie beside the journal; `unreadable` segments could not be looked into.
    """

    files: int
    size_bytes: int
    records: int
    outcomes: dict[str, int]
    waiting: int
    open: int
    duplicate_request_ids: int
    duplicate_seqs: int
    gaps: list[Gap]
    missing: int
    quarantined: int
    unreadable: int
    heartbeats: list[Heartbeat]
    sound: bool


class _Journal(msgspec.Struct):
    """Sequence numbers by worker, boot and whether their request is closed."""

    seqs: dict[tuple[str, str, bool], set[int]] = {}
    unreadable: int = 0


def verify(lake_dir: Path, journal_dir: Path, *, sleep: Callable[[float], None] = time.sleep) -> Verification:
    """Look at lake and journal, and again while something is missing; `sleep` waits some seconds.

    Raises:
        NoLakeError: `lake_dir` holds no lake.
    """
    found = _look(lake_dir, journal_dir)
    for _ in range(_MORE_LOOKS):
        if not found.gaps:
            break
        sleep(_LOOK_AGAIN_S)
        found = _look(lake_dir, journal_dir)
    return found


def _look(lake_dir: Path, journal_dir: Path) -> Verification:
    lake = Lake(lake_dir)
    if not lake.incoming.is_dir():
        message = f"there is no lake in {lake_dir}: name it with --lake, or start `turnout serve` once"
        raise NoLakeError(message)
    before = _read_journal(journal_dir)
    files = lake.files()
    with duckdb.connect(":memory:") as connection:
        _view_records(connection, files)
        outcomes = dict(_rows(connection, "outcomes"))
        [(by_request_id, by_seq)] = _rows(connection, "duplicates")
        after = _read_journal(journal_dir)
        _fill_journal(connection, before, after)
        gaps = [
            Gap(worker=worker, boot=boot, first_seq=first, last_seq=last)
            for worker, boot, first, last in _rows(connection, "gaps")
        ]
        [(waiting, still_open)] = _rows(connection, "unsettled")
    return Verification(
        files=len(files),
        size_bytes=sum(path.stat().st_size for path in files),
        records=sum(outcomes.values()),
        outcomes=outcomes,
        waiting=waiting,
        open=still_open,
        duplicate_request_ids=by_request_id,
        duplicate_seqs=by_seq,
        gaps=gaps,
        missing=sum(gap.last_seq - gap.first_seq + 1 for gap in gaps),
        quarantined=quarantined(journal_dir),
        unreadable=after.unreadable,
        heartbeats=lake.all_heartbeats(),
        sound=not (gaps or by_request_id or by_seq),
    )


def _read_journal(journal_dir: Path) -> _Journal:
    journal = _Journal()
    for name in segments(journal_dir):
        try:
            with SegmentReader(journal_dir / name.file_name) as reader:
                for _, frame in reader.frames():
                    is_closed = not isinstance(frame, Opened)
                    journal.seqs.setdefault((name.worker, name.boot, is_closed), set()).add(frame.seq)
        except FileNotFoundError:
            continue
        except UnreadableSegmentError:
            journal.unreadable += 1
    return journal


def _view_records(connection: duckdb.DuckDBPyConnection, files: list[Path]) -> None:
    if files:
        connection.read_parquet([str(path) for path in files]).create_view("records")
    else:
        columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        connection.execute(f"CREATE TABLE records ({columns})")


def _fill_journal(connection: duckdb.DuckDBPyConnection, *journals: _Journal) -> None:
    connection.execute("CREATE TABLE journal (worker VARCHAR, boot VARCHAR, is_closed BOOLEAN, seq BIGINT)")
    for journal in journals:
        for (worker, boot, is_closed), seqs in journal.seqs.items():
            connection.execute(
                "INSERT INTO journal SELECT ?, ?, ?, unnest(?::BIGINT[])", [worker, boot, is_closed, list(seqs)]
            )


def _rows(connection: duckdb.DuckDBPyConnection, question: str) -> list[Any]:
    return connection.execute(Path(__file__).with_name(f"{question}.sql").read_text()).fetchall()
