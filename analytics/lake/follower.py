"""Carry the records of one (worker, boot) from its segments to the lake, each exactly once.

The law: what is done is read from the lake's file names, never remembered. A follower that failed anywhere is thrown
away and made anew; it reads the remaining segments again and knows from the lake which of their bytes are settled.
Hence a segment stays until every request opened in it is settled, and segments go in the order in which they came.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from analytics.journal.frame import DamagedHeadError
from analytics.journal.reader import SegmentReader
from analytics.journal.recovery import cut, quarantine, sync_directory
from analytics.journal.segment import QUARANTINE, SegmentName
from analytics.lake.layout import Lake
from analytics.lake.parquet import ParquetWriter, UnwritableRowError, row
from analytics.record import Frame, Opened, interrupted

GRACE_S = 60.0
"""How long after its total timeout an unfinished request of a living worker is given up."""
_FILE_ROWS = 16_384
_MICROSECONDS = 1_000_000


class Counts(msgspec.Struct):
    """What a shipper has done and met since it started.

    `records` and `interrupted` rows written; `late`: closes of requests already given up, dropped; `undecodable`:
    frames that are sound but unknown; `quarantined`: tails set aside; `unwritable`: records set aside because they fit
    no column; `failures`: passes over a worker's journal that ended in an error and were begun again.
    """

    records: int = 0
    interrupted: int = 0
    late: int = 0
    undecodable: int = 0
    quarantined: int = 0
    unwritable: int = 0
    failures: int = 0


class _Waiting(msgspec.Struct, frozen=True):
    """A request that was opened and not closed: where, and when (monotonic seconds) it is given up."""

    opened: Opened
    number: int
    given_up_s: float


class _Progress(msgspec.Struct):
    """How far a segment was read; `is_final`: nothing will be appended, and all of it was read and sealed."""

    read_end: int | None = None
    undecodable: int = 0
    is_final: bool = False


class _Span(msgspec.Struct, frozen=True):
    """The bytes `[start, end)` of a segment in which a record closed; of an interrupted one the sequence number."""

    number: int
    start: int
    end: int


_Row = tuple[bytes, _Span]


class Follower:
    """The state of one boot; `journal` and `lake` are where it comes from and goes to."""

    def __init__(
        self, boot: tuple[str, str], *, journal: Path, lake: Lake, parquet: ParquetWriter, counts: Counts
    ) -> None:
        self.boot = boot
        self._journal, self._lake, self._parquet, self._counts = journal, lake, parquet, counts
        sealed = lake.sealed(boot)
        self._ends = sealed.ends
        self._given_up = parquet.seqs(sealed.interrupted)
        self._waiting: dict[int, _Waiting] = {}
        self._progress: dict[int, _Progress] = {}
        self._rows: list[_Row] = []
        heartbeat = lake.heartbeat(boot[0])
        self.last_seq = heartbeat.last_seq if heartbeat and heartbeat.boot == boot[1] else 0

    def advance(self, names: list[SegmentName], *, is_dead: bool, now_s: float) -> None:
        """Seal what is new in the boot's segments, settle what will never close, remove what is settled.

        `names` are all its segments in order; `is_dead` must have been found out before this call.
        """
        for name in names:
            progress = self._progress.setdefault(name.number, _Progress())
            if not progress.is_final:
                self._follow(name, progress, now_s)
        self._give_up(now_s=math.inf if is_dead else now_s)
        self._remove(names)

    def _follow(self, name: SegmentName, progress: _Progress, now_s: float) -> None:
        path = self._journal / name.file_name
        try:
            reader = SegmentReader(path)
        except DamagedHeadError:
            quarantine(path)
            self._counts.quarantined += 1
            return
        with reader:
            start = progress.read_end or reader.offset
            sealed_end = self._ends.get(name.number, 0)
            for end, frame in reader.frames(progress.read_end):
                self._take(frame, _Span(name.number, start, end), now_s, is_sealed=end <= sealed_end)
                start = end
                if len(self._rows) == _FILE_ROWS:
                    self._seal()
            self._seal()
            progress.read_end = reader.offset
            progress.undecodable += reader.undecodable
            self._counts.undecodable += reader.undecodable
            if not reader.is_live:
                self._counts.quarantined += bool(cut(path, reader.offset))
                progress.is_final = True

    def _take(self, frame: Frame, span: _Span, now_s: float, *, is_sealed: bool) -> None:
        if isinstance(frame, Opened):
            if frame.seq not in self._given_up:
                self._waiting[frame.seq] = _Waiting(frame, span.number, now_s + _patience_s(frame))
            return
        self._waiting.pop(frame.seq, None)
        if not is_sealed and frame.seq in self._given_up:
            self._counts.late += 1
            return
        self.last_seq = max(self.last_seq, frame.seq)
        if not is_sealed:
            self._rows.append((row(frame), span))

    def _seal(self) -> None:
        rows, self._rows = self._rows, []
        if rows:
            self._counts.records += self._write(rows, self._range_file)

    def _give_up(self, *, now_s: float) -> None:
        overdue = [waiting for waiting in self._waiting.values() if waiting.given_up_s <= now_s]
        overdue.sort(key=lambda waiting: waiting.opened.seq)
        for at in range(0, len(overdue), _FILE_ROWS):
            some = [(w.opened, _Span(w.number, w.opened.seq, w.opened.seq)) for w in overdue[at : at + _FILE_ROWS]]
            rows = [(row(interrupted(opened)), span) for opened, span in some]
            self._counts.interrupted += self._write(rows, self._interrupted_file)
            for opened, _ in some:
                del self._waiting[opened.seq]
                self._given_up.add(opened.seq)
                self.last_seq = max(self.last_seq, opened.seq)

    def _write(self, rows: list[_Row], target_of: Callable[[list[_Row]], Path]) -> int:
        """Write rows as one file and count them; one that fits no column is found by halving, and set aside.

        Halves also pass through a disk that has hardly any room left: what is settled makes room.
        """
        target = target_of(rows)
        try:
            self._parquet.write(target, self.boot, [line for line, _ in rows])
        except (UnwritableRowError, OSError) as error:
            is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            if isinstance(error, OSError) and not (is_full and len(rows) > 1):
                raise
            if len(rows) > 1:
                half = len(rows) // 2
                return self._write(rows[:half], target_of) + self._write(rows[half:], target_of)
            aside = self._journal / QUARANTINE
            aside.mkdir(exist_ok=True)
            (aside / f"{target.stem}.json").write_bytes(rows[0][0])
            self._counts.unwritable += 1
            return 0
        return len(rows)

    def _range_file(self, rows: list[_Row]) -> Path:
        first, last = rows[0][1], rows[-1][1]
        return self._lake.range_file(self.boot, first.number, first.start, last.end)

    def _interrupted_file(self, rows: list[_Row]) -> Path:
        return self._lake.interrupted_file(self.boot, rows[0][1].start)

    def _remove(self, names: list[SegmentName]) -> None:
        kept_from = min((waiting.number for waiting in self._waiting.values()), default=math.inf)
        for name in names:
            if not self._progress[name.number].is_final or name.number >= kept_from:
                break
            path = self._journal / name.file_name
            if self._progress.pop(name.number).undecodable:
                quarantine(path)
            else:
                path.unlink()
                sync_directory(self._journal)


def _patience_s(opened: Opened) -> float:
    """Return how long to wait for a close: measured here by a monotonic clock, so that a wall clock may jump."""
    if opened.deadline_at is None:
        return math.inf
    return max(opened.deadline_at - opened.started_at, 0) / _MICROSECONDS + GRACE_S
