"""A lake made by hand: records and feedback put in as the shipper puts them, without journal, workers or requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import msgspec

from analytics.lake.columns import FEEDBACK_COLUMNS
from analytics.lake.compaction import USUAL, Compacted, Compaction, Measures
from analytics.lake.layout import FEEDBACK, Lake
from analytics.lake.needed import needed_here
from analytics.lake.parquet import ParquetWriter, row
from analytics.lake.store import Store
from analytics.record import Record, uuid7

AT_US = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC."""
LATER_US = AT_US + 3 * 86_400_000_000
NOWHERE = Path("/nonexistent")


def record(number: int, **facts: object) -> Record:
    """Return one record; the number makes its ids and its time, a second later for each."""
    at = AT_US + number * 1_000_000
    known = Record(request_id=uuid7(at, number.to_bytes(10)), seq=number, started_at=at, outcome="ok")
    return msgspec.structs.replace(known, **facts)


def compact(
    store: Store, scratch: Path, at_us: int = LATER_US, journal: Path = NOWHERE, measures: Measures = USUAL
) -> Compacted:
    """Compact a lake at a moment; its days are over by default."""
    compaction = Compaction(store, scratch, lambda: at_us, needed_here(journal), measures)
    try:
        return compaction.run()
    finally:
        compaction.close()


class HandmadeLake:
    """Each call of `put` and `put_feedback` makes one file of the lake in `root`; what feedback leaves out is NULL.

    `received_at` is microseconds since 1970 UTC, as in the journal.
    """

    def __init__(self, root: Path) -> None:
        self.lake = Lake(root)
        self.lake.prepare()
        self.root = root
        self._files = 0

    def put(self, records: Sequence[Record], *, worker: str = "w0") -> None:
        self._files += 1
        writer = ParquetWriter(self.root / "scratch.ndjson", self.lake.store)
        target = self.lake.range_file((worker, "b1"), self._files, 0, 1)
        writer.write(target, (worker, "b1"), [row(one) for one in records])
        writer.close()

    def put_feedback(self, pieces: Sequence[Mapping[str, object]]) -> None:
        self._files += 1
        folder = self.root / FEEDBACK
        folder.mkdir(exist_ok=True)
        with duckdb.connect(":memory:") as connection:
            columns = ", ".join(f"{name} {kind}" for name, kind in FEEDBACK_COLUMNS.items())
            connection.execute(f"CREATE TABLE pieces ({columns})")
            marks = ", ".join("make_timestamp(?)" if name == "received_at" else "?" for name in FEEDBACK_COLUMNS)
            for piece in pieces:
                values = [piece.get(name) for name in FEEDBACK_COLUMNS]
                connection.execute(f"INSERT INTO pieces VALUES ({marks})", values)
            connection.execute(f"COPY pieces TO '{folder}/w0-b1-{self._files}.parquet' (FORMAT parquet)")

    def compact(self, at_us: int = LATER_US, journal: Path = NOWHERE, measures: Measures = USUAL) -> Compacted:
        return compact(self.lake.store, self.root, at_us, journal, measures)
