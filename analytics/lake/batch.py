"""Rows of one boot on their way into one folder of the lake, each exactly once.

A folder's files name the bytes of the journal that they settle, apart from all other folders: a segment's feedback may
have come to the lake while its requests have not.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import msgspec

from analytics.journal.segment import QUARANTINE
from analytics.lake.columns import CONTENT, Dataset
from analytics.lake.layout import Lake
from analytics.lake.parquet import ParquetWriter, UnwritableRowError, row
from analytics.record import Frame

FILE_ROWS = 16_384
FILE_BYTES = 32 * 1024 * 1024
"""A batch of more is written first: content is long, and Parquet is made in memory."""


class Counts(msgspec.Struct):
    """What a shipper has done and met since it started.

    `records`, `interrupted`, `feedback` and `content` rows written; `expired`: files of content removed; `late`: closes
    of requests already given up, dropped; `undecodable`: frames that are sound but unknown; `quarantined`: tails set
    aside; `unwritable`: rows set aside because they fit no column; `failures`: passes over a worker's journal that
    ended in an error and were begun again.
    """

    records: int = 0
    interrupted: int = 0
    feedback: int = 0
    content: int = 0
    expired: int = 0
    late: int = 0
    undecodable: int = 0
    quarantined: int = 0
    unwritable: int = 0
    failures: int = 0

    @property
    def rows(self) -> int:
        """Return how many rows came to the lake."""
        return self.records + self.interrupted + self.feedback + self.content


class Span(msgspec.Struct, frozen=True):
    """The bytes `[start, end)` of a segment in which a frame stands; of an interrupted one the sequence number."""

    number: int
    start: int
    end: int


Row = tuple[bytes, Span]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """From where to where rows go: the journal's directory, the lake, and what writes there and counts."""

    journal: Path
    lake: Lake
    parquet: ParquetWriter
    counts: Counts


class Batch:
    """What of a boot goes into one folder."""

    def __init__(self, boot: tuple[str, str], way: Way, folder: str, dataset: Dataset) -> None:
        self._boot, self._way, self._folder, self._dataset = boot, way, folder, dataset
        self._ends = way.lake.sealed(boot, folder).ends
        self._rows: list[Row] = []
        self._size_bytes = 0

    def has(self, span: Span) -> bool:
        """Tell whether the lake had these bytes when the batch was made."""
        return span.end <= self._ends.get(span.number, 0)

    def take(self, frame: Frame, span: Span) -> bool:
        """Add a row behind all others; tell whether they are so many now that they should be sealed."""
        line = row(frame)
        self._rows.append((line, span))
        self._size_bytes += len(line)
        return len(self._rows) >= FILE_ROWS or self._size_bytes >= FILE_BYTES

    def seal(self) -> int:
        """Write what was taken as one file, and return how many rows came to the lake."""
        rows, self._rows, self._size_bytes = self._rows, [], 0
        return self.write(rows, self._range_file) if rows else 0

    def write(self, rows: list[Row], target_of: Callable[[list[Row]], str]) -> int:
        """Write rows as one file and count them; one that fits no column is found by halving, and set aside.

        Halves also pass through a disk that has hardly any room left: what is settled makes room.
        """
        target = target_of(rows)
        try:
            self._way.parquet.write(target, self._boot, [line for line, _ in rows], self._dataset)
        except (UnwritableRowError, OSError) as error:
            is_full = isinstance(error, OSError) and error.errno == errno.ENOSPC
            if isinstance(error, OSError) and not (is_full and len(rows) > 1):
                raise
            if len(rows) > 1:
                half = len(rows) // 2
                return self.write(rows[:half], target_of) + self.write(rows[half:], target_of)
            self._set_aside(target, rows[0][0])
            return 0
        return len(rows)

    def _range_file(self, rows: list[Row]) -> str:
        first, last = rows[0][1], rows[-1][1]
        return self._way.lake.range_file(self._boot, first.number, first.start, last.end, self._folder)

    def _set_aside(self, target: str, line: bytes) -> None:
        self._way.counts.unwritable += 1
        if self._dataset is CONTENT:
            return  # what somebody said does not lie about beyond its time
        aside = self._way.journal / QUARANTINE
        aside.mkdir(exist_ok=True)
        (aside / f"{PurePosixPath(target).stem}.json").write_bytes(line)
