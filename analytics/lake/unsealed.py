"""What this host's journals hold that is not in the lake yet: rows for whoever asks before the shipper has sealed them.

The law: who reads the journals first and lists the lake's files then misses no row, whatever is sealed and removed
meanwhile; what is in both is told apart by its id. What counts as a row is settled by the shipper's rules
(`settling.py`), but for one thing: a request that a living worker left unfinished for too long is given up by the
shipper alone, who knows since when it waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from analytics.feedback import Feedback
from analytics.journal.frame import UnreadableSegmentError
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import SegmentName, segments
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.parquet import row
from analytics.lake.settling import Boot, Openings, by_boot, dead_boots
from analytics.record import Frame, Opened, Record, interrupted

MOST_BYTES = 32 * 1024 * 1024
"""Of frames that are read: some 50,000 requests. It takes a second of a processor, and 150 MB of memory."""

Sealed = Mapping[Boot, Mapping[int, int]]
"""By boot and a segment's number: up to where its frames are in the lake, as its shipper says."""


class TooMuchUnsealedError(Exception):
    """The journals hold more than is read for one question."""


class Unsealed:
    """The rows of some journals by the folder of the lake that they go to, JSON objects that name worker and boot."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.rows: Mapping[str, list[bytes]] = {INCOMING: [], FEEDBACK: []}
        self._left_bytes = most_bytes

    def read(self, journal: Path, sealed: Sealed) -> None:
        """Take up what a journal holds beyond what is `sealed`.

        Raises:
            TooMuchUnsealedError: it is too much; what was taken up so far is worth nothing.
            OSError: a segment cannot be read.
        """
        names = segments(journal)
        dead = dead_boots(journal, names)
        for boot, own in by_boot(names):
            self._read_boot(journal, own, sealed.get(boot, {}), is_dead=boot in dead)

    def _read_boot(self, journal: Path, own: Sequence[SegmentName], ends: Mapping[int, int], *, is_dead: bool) -> None:
        openings = Openings()
        boot = own[0].worker, own[0].boot
        for name in own:
            sealed_end = ends.get(name.number, 0)
            try:
                with SegmentReader(journal / name.file_name) as reader:
                    # What a dead worker left open may stand before all that is sealed.
                    start = reader.offset if is_dead else max(sealed_end, reader.offset)
                    for end, frame in reader.frames(start):
                        self._count(end - start)
                        start = end
                        self._take(frame, boot, openings if is_dead else None, is_sealed=end <= sealed_end)
            except (FileNotFoundError, UnreadableSegmentError):
                continue  # it was sealed meanwhile; or the shipper sets it aside, or waits for another version
        for unclosed in openings.overdue(now_s=0.0, is_dead=is_dead):
            self.rows[INCOMING].append(row(interrupted(unclosed.opened), boot))

    def _take(self, frame: Frame, boot: Boot, openings: Openings | None, *, is_sealed: bool) -> None:
        if isinstance(frame, Opened):
            if openings is not None:
                openings.open(frame, 0, 0.0)
            return
        if isinstance(frame, Record) and openings is not None:
            openings.close(frame.seq)
        if isinstance(frame, Record | Feedback) and not is_sealed:
            self.rows[INCOMING if isinstance(frame, Record) else FEEDBACK].append(row(frame, boot))

    def _count(self, read_bytes: int) -> None:
        self._left_bytes -= read_bytes
        if self._left_bytes < 0:
            raise TooMuchUnsealedError
