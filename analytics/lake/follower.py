"""Carry what one (worker, boot) wrote from its segments to the lake, each frame exactly once.

The law: what is done is read from the lake's file names, never remembered. A follower that failed anywhere is thrown
away and made anew; it reads the remaining segments again and knows from the lake which of their bytes are settled.
Hence a segment stays until every request opened in it is settled, and segments go in the order in which they came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import msgspec

from analytics.content import Content
from analytics.feedback import Feedback
from analytics.journal.frame import DamagedHeadError
from analytics.journal.reader import SegmentReader
from analytics.journal.recovery import cut, quarantine, sync_directory
from analytics.journal.segment import SegmentName
from analytics.lake.batch import FILE_ROWS, Batch, Row, Span, Way
from analytics.lake.columns import CONTENT, FEEDBACK, REQUESTS
from analytics.lake.layout import FEEDBACK as FEEDBACK_FOLDER
from analytics.lake.layout import INCOMING
from analytics.lake.parquet import row
from analytics.lake.settling import Boot, Openings
from analytics.record import Frame, Opened, Record, interrupted

_MICROSECONDS = 1_000_000


class _Progress(msgspec.Struct):
    """How far a segment was read; `is_final`: nothing will be appended, and all of it was read and sealed."""

    read_end: int | None = None
    undecodable: int = 0
    is_final: bool = False


class Follower:
    """The state of one boot, whose frames go their `way`; `tell_interrupted` hears of requests that are given up."""

    def __init__(
        self, boot: Boot, way: Way, tell_interrupted: Callable[[Sequence[Record]], None] = lambda _: None
    ) -> None:
        self.boot = boot
        self._tell_interrupted = tell_interrupted
        self._way = way
        self._requests = Batch(boot, way, INCOMING, REQUESTS)
        self._feedback = Batch(boot, way, FEEDBACK_FOLDER, FEEDBACK)
        self._content: dict[date, Batch] = {}
        self._given_up = way.parquet.seqs(way.lake.sealed(boot).interrupted)
        self._today = date.min
        self._openings = Openings()
        self._progress: dict[int, _Progress] = {}
        heartbeat = way.lake.heartbeat(boot[0])
        self.last_seq = heartbeat.last_seq if heartbeat and heartbeat.boot == boot[1] else 0

    @property
    def settled_to(self) -> int:
        """Return up to which number every request is in the lake: one that is open or unread is above it."""
        first_open = self._openings.first_seq
        return self.last_seq if first_open is None else first_open - 1

    @property
    def ends(self) -> dict[int, int]:
        """Return up to where its segments, by number, are in the lake, or wait for nothing but a close."""
        return {number: one.read_end for number, one in self._progress.items() if one.read_end is not None}

    def advance(self, names: list[SegmentName], *, is_dead: bool, now_s: float, today: date = date.min) -> None:
        """Seal what is new in the boot's segments, settle what will never close, remove what is settled.

        `names` are all its segments in order; `is_dead` must have been found out before this call. Content whose
        last day is before `today` is not carried any more.
        """
        self._today = today
        for name in names:
            progress = self._progress.setdefault(name.number, _Progress())
            if not progress.is_final:
                self._follow(name, progress, now_s)
        self._give_up(now_s=now_s, is_dead=is_dead)
        self._remove(names)

    def _follow(self, name: SegmentName, progress: _Progress, now_s: float) -> None:
        path = self._way.journal / name.file_name
        counts = self._way.counts
        try:
            reader = SegmentReader(path)
        except DamagedHeadError:
            quarantine(path)
            counts.quarantined += 1
            return
        with reader:
            start = progress.read_end or reader.offset
            for end, frame in reader.frames(progress.read_end):
                self._take(frame, Span(name.number, start, end), now_s)
                start = end
            self._seal()
            progress.read_end = reader.offset
            progress.undecodable += reader.undecodable
            counts.undecodable += reader.undecodable
            if not reader.is_live:
                counts.quarantined += bool(cut(path, reader.offset))
                progress.is_final = True

    def _take(self, frame: Frame, span: Span, now_s: float) -> None:
        if isinstance(frame, Opened):
            if frame.seq not in self._given_up:
                self._openings.open(frame, span.number, now_s)
        elif isinstance(frame, Record):
            self._take_record(frame, span)
        elif isinstance(frame, Feedback):
            self._put(self._feedback, frame, span)
        else:
            self._take_content(frame, span)

    def _take_record(self, record: Record, span: Span) -> None:
        self._openings.close(record.seq)
        is_sealed = self._requests.has(span)
        if not is_sealed and record.seq in self._given_up:
            self._way.counts.late += 1
            return
        self.last_seq = max(self.last_seq, record.seq)
        if not is_sealed and self._requests.take(record, span):
            self._seal()

    def _take_content(self, content: Content, span: Span) -> None:
        expires_on = datetime.fromtimestamp(content.expires_at / _MICROSECONDS, UTC).date()
        if expires_on < self._today:
            return
        if expires_on not in self._content:
            folder = self._way.lake.content_folder(expires_on)
            self._content[expires_on] = Batch(self.boot, self._way, folder, CONTENT)
        self._put(self._content[expires_on], content, span)

    def _put(self, batch: Batch, frame: Frame, span: Span) -> None:
        if not batch.has(span) and batch.take(frame, span):
            self._seal()

    def _seal(self) -> None:
        self._way.counts.records += self._requests.seal()
        self._way.counts.feedback += self._feedback.seal()
        for batch in self._content.values():
            self._way.counts.content += batch.seal()

    def _give_up(self, *, now_s: float, is_dead: bool) -> None:
        overdue = self._openings.overdue(now_s=now_s, is_dead=is_dead)
        for at in range(0, len(overdue), FILE_ROWS):
            some = [(w.opened, Span(w.number, w.opened.seq, w.opened.seq)) for w in overdue[at : at + FILE_ROWS]]
            records = [interrupted(opened) for opened, _ in some]
            rows = [(row(record), span) for record, (_, span) in zip(records, some, strict=True)]
            self._way.counts.interrupted += self._requests.write(rows, self._interrupted_file)
            self._tell_interrupted(records)
            for opened, _ in some:
                self._openings.close(opened.seq)
                self._given_up.add(opened.seq)
                self.last_seq = max(self.last_seq, opened.seq)

    def _interrupted_file(self, rows: list[Row]) -> str:
        return self._way.lake.interrupted_file(self.boot, rows[0][1].start)

    def _remove(self, names: list[SegmentName]) -> None:
        kept_from = self._openings.first_segment
        for name in names:
            if not self._progress[name.number].is_final or name.number >= kept_from:
                break
            path = self._way.journal / name.file_name
            if self._progress.pop(name.number).undecodable:
                quarantine(path)
            else:
                path.unlink()
                sync_directory(self._way.journal)
