"""Count what the lake holds against what the journals say: every request and all feedback once, none missing.

Sound means 0 duplicates and 0 gaps. It may run beside workers and shipper: what moves from journal to lake meanwhile is
seen at least once, because the journal is read before the lake and again after it; and a gap must last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from msgspec.structs import replace

from analytics.content import Content
from analytics.feedback import Feedback
from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.recovery import quarantined
from analytics.journal.segment import segments
from analytics.lake.contents import contents
from analytics.lake.elsewhere import Gap, Silent, settled, silent_hosts, told_apart
from analytics.lake.host import host_name
from analytics.lake.layout import FEEDBACK, INCOMING, Heartbeat, Lake
from analytics.lake.manifest import Expired, read_manifest
from analytics.lake.presence import presences
from analytics.lake.retention import without
from analytics.lake.store import Store
from analytics.lake.torn import without_torn
from analytics.record import Opened

_LOOK_AGAIN_S = 0.5
_MORE_LOOKS = 2
_COLUMNS = {"request_id": "UUID", "worker": "VARCHAR", "boot": "VARCHAR", "seq": "BIGINT", "outcome": "VARCHAR"}
_FEEDBACK = "feedback_id AS request_id, worker, boot, seq, 'feedback' AS outcome"
"""What the questions call a request's columns, of a piece of feedback."""
_LOOKED_AT = {INCOMING: ", ".join(_COLUMNS), FEEDBACK: _FEEDBACK}
"""What is read of a folder's files."""


class NoLakeError(ValueError):
    """There is no lake where one was looked for."""


class _Count(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of requests, or of feedback.

    `outcomes` are rows by outcome; `waiting`: settled in the journal and not yet in the lake; `open`: not closed yet;
    `duplicate_*` are surplus rows; `missing` is the number in `gaps`.
    """

    outcomes: dict[str, int]
    waiting: int
    open: int
    duplicate_ids: int
    duplicate_seqs: int
    gaps: list[Gap]
    expired: int

    @property
    def records(self) -> int:
        """Return how many rows there are."""
        return sum(self.outcomes.values())

    @property
    def missing(self) -> int:
        """Return how many numbers lie in the gaps."""
        return sum(gap.last_seq - gap.first_seq + 1 for gap in self.gaps)

    @property
    def is_sound(self) -> bool:
        """Tell whether everything is there once."""
        return not (self.gaps or self.duplicate_ids or self.duplicate_seqs)


class FeedbackCount(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of feedback; the names mean what they mean in `Verification`."""

    records: int
    waiting: int
    duplicate_feedback_ids: int
    duplicate_seqs: int
    gaps: list[Gap]
    missing: int
    expired: int


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. `waiting`: requests closed in the journal and not yet in the lake; `open`: not closed yet.

    `missing` is the number of requests in `gaps`; `elsewhere` are those that, by another host's heartbeat, may still be
    in its journal, as may what `silent` hosts served since their last word; `duplicate_*` are surplus rows;
    `expired` ones were let go when their time was over, and are not missed;
    `quarantined` files of unsound bytes lie beside the journal; `unreadable` segments could not be looked into. `files`
    and `size_bytes` are of all files; `torn` has those that cannot be read, and why: their rows count as missing.
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
    elsewhere: int
    expired: int
    feedback: FeedbackCount
    quarantined: int
    unreadable: int
    torn: Mapping[str, str]
    heartbeats: list[Heartbeat]
    silent: list[Silent]
    sound: bool


_Seqs = dict[tuple[str, str, bool], set[int]]
"""Sequence numbers by worker, boot and whether what they count is settled, as feedback always is."""


class _Journal(msgspec.Struct):
    """The numbers of requests and of feedback."""

    seqs: _Seqs = {}
    feedback: _Seqs = {}
    unreadable: int = 0


def _now() -> int:
    return time.time_ns() // 1000


def verify(
    lake: Path | Store,
    journal_dir: Path,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], int] = _now,
) -> Verification:
    """Look at lake and journal, and again while something is missing; `sleep` waits some seconds.

    `clock` gives microseconds since 1970 UTC.

    Raises:
        NoLakeError: there is no lake in `lake`.
        OSError: it cannot be read.
    """
    found = _look(lake, journal_dir, clock())
    for _ in range(_MORE_LOOKS):
        if not (found.gaps or found.feedback.gaps):
            break
        sleep(_LOOK_AGAIN_S)
        found = _look(lake, journal_dir, clock())
    return found


def _look(place: Path | Store, journal_dir: Path, now_us: int) -> Verification:
    lake = Lake(place)
    if not lake.is_there():
        message = f"there is no lake in {place}: name it with --lake, or start `turnout serve` once"
        raise NoLakeError(message)
    before = _read_journal(journal_dir)
    # What a heartbeat calls settled was in the lake when it was written: so it is read before the files are looked at.
    beats = lake.all_heartbeats()
    found = contents(lake.store)
    sizes = {folder: found[folder].files for folder in _LOOKED_AT}
    count = partial(_count, lake.store, settled(beats), before, journal_dir)
    (requests, feedback, after), torn = without_torn(count, lake.store, sizes, _LOOKED_AT)
    gaps, elsewhere = told_apart(requests.gaps, beats, host_name(journal_dir))
    requests = replace(requests, gaps=gaps)
    return Verification(
        files=sum(map(len, sizes.values())),
        size_bytes=sum(sum(names.values()) for names in sizes.values()),
        records=requests.records,
        outcomes=requests.outcomes,
        waiting=requests.waiting,
        open=requests.open,
        duplicate_request_ids=requests.duplicate_ids,
        duplicate_seqs=requests.duplicate_seqs,
        gaps=requests.gaps,
        missing=requests.missing,
        elsewhere=elsewhere,
        expired=requests.expired,
        feedback=_feedback_count(feedback),
        quarantined=quarantined(journal_dir),
        unreadable=after.unreadable,
        torn=torn,
        heartbeats=beats,
        silent=silent_hosts(presences(lake.store), beats, now_us),
        sound=requests.is_sound and feedback.is_sound and not torn,
    )


def _count(
    store: Store,
    settled_to: Mapping[tuple[str, str], int],
    before: _Journal,
    journal_dir: Path,
    names: Mapping[str, Collection[str]],
) -> tuple[_Count, _Count, _Journal]:
    """Count the rows of requests and of feedback in these files, and return what the journal says afterwards."""
    with duckdb.connect(":memory:") as connection, duckdb.connect(":memory:") as beside:
        _view_records(connection, store, names[INCOMING], _LOOKED_AT[INCOMING])
        _view_records(beside, store, names[FEEDBACK], _LOOKED_AT[FEEDBACK])
        after = _read_journal(journal_dir)
        # Read after the files: what is let go meanwhile is seen, or known as such, or both.
        gone = read_manifest(store).expired
        requests = _counted(connection, settled_to, gone.get(INCOMING), before.seqs, after.seqs)
        feedback = _counted(beside, {}, gone.get(FEEDBACK), before.feedback, after.feedback)
    return requests, feedback, after


def _feedback_count(feedback: _Count) -> FeedbackCount:
    return FeedbackCount(
        records=feedback.records,
        waiting=feedback.waiting,
        duplicate_feedback_ids=feedback.duplicate_ids,
        duplicate_seqs=feedback.duplicate_seqs,
        gaps=feedback.gaps,
        missing=feedback.missing,
        expired=feedback.expired,
    )


def _counted(
    connection: duckdb.DuckDBPyConnection,
    settled_to: Mapping[tuple[str, str], int],
    expired: Expired | None,
    *journals: _Seqs,
) -> _Count:
    gone = expired.seqs if expired is not None else ()
    _fill_journal(connection, *journals)
    connection.execute("CREATE TABLE gone (worker VARCHAR, boot VARCHAR, seq BIGINT)")
    for one in gone:
        connection.execute(
            "INSERT INTO gone SELECT ?, ?, unnest(?)", [one.worker, one.boot, [one.first_seq, one.last_seq]]
        )
    connection.execute("CREATE TABLE settled (worker VARCHAR, boot VARCHAR, seq BIGINT)")
    for (worker, boot), seq in settled_to.items():
        connection.execute("INSERT INTO settled VALUES (?, ?, ?)", [worker, boot, seq])
    [(by_id, by_seq)] = _rows(connection, "duplicates")
    [(waiting, still_open)] = _rows(connection, "unsettled")
    found = _rows(connection, "gaps")
    return _Count(
        outcomes=dict(_rows(connection, "outcomes")),
        waiting=waiting,
        open=still_open,
        duplicate_ids=by_id,
        duplicate_seqs=by_seq,
        gaps=without((Gap(worker=w, boot=b, first_seq=one, last_seq=end) for w, b, one, end in found), gone),
        expired=expired.rows if expired is not None else 0,
    )


def _read_journal(journal_dir: Path) -> _Journal:
    journal = _Journal()
    for name in segments(journal_dir):
        try:
            with SegmentReader(journal_dir / name.file_name) as reader:
                for _, frame in reader.frames():
                    if isinstance(frame, Content):
                        continue
                    known = journal.feedback if isinstance(frame, Feedback) else journal.seqs
                    is_closed = not isinstance(frame, Opened)
                    known.setdefault((name.worker, name.boot, is_closed), set()).add(frame.seq)
        except FileNotFoundError:
            continue
        except UnreadableSegmentError:
            journal.unreadable += 1
    return journal


def _view_records(connection: duckdb.DuckDBPyConnection, store: Store, files: Collection[str], columns: str) -> None:
    if files:
        store.attach(connection)
        addresses = [store.address(name) for name in files]
        connection.read_parquet(addresses, hive_partitioning=False).project(columns).create_view("records")
    else:
        made = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        connection.execute(f"CREATE TABLE records ({made})")


def _fill_journal(connection: duckdb.DuckDBPyConnection, *journals: _Seqs) -> None:
    connection.execute("CREATE TABLE journal (worker VARCHAR, boot VARCHAR, is_closed BOOLEAN, seq BIGINT)")
    for journal in journals:
        for (worker, boot, is_closed), seqs in journal.items():
            connection.execute(
                "INSERT INTO journal SELECT ?, ?, ?, unnest(?::BIGINT[])", [worker, boot, is_closed, list(seqs)]
            )


def _rows(connection: duckdb.DuckDBPyConnection, question: str) -> list[Any]:
    return connection.execute(Path(__file__).with_name(f"{question}.sql").read_text()).fetchall()
