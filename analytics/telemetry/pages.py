"""What the workers' status pages say now, as series. A page that cannot be read is left out and counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from analytics.journal.status import Status, StatusError, read
from analytics.telemetry import names
from analytics.telemetry.names import Instrument
from analytics.telemetry.series import Family, Labels

_PAGES, _ENDED = "*.status", "*.ended"
_S = 1 / 1_000_000


class Pages:
    """The status pages in `directory`; `sources` are the words for a page's `config_source`, by their place."""

    def __init__(self, directory: Path, sources: Sequence[str]) -> None:
        self._directory, self._sources = directory, sources
        self.troubles = 0

    def families(self, now_us: int) -> list[Family]:
        """Look at all pages; `now_us` is microseconds since 1970 UTC."""
        pages = dict(self._read(_PAGES))
        told = {name: self._values(page, now_us) for name, page in pages.items()}
        families = [
            Family(instrument, [((worker,), values[instrument.name]) for worker, values in told.items()])
            for instrument in _OF_ONE
        ]
        sources: list[tuple[Labels, float]] = [((name, self._source(page)), 1.0) for name, page in pages.items()]
        lost_earlier = float(sum(page.lost for _, page in self._read(_ENDED)))
        return [
            *families,
            Family(names.SNAPSHOT_SOURCE, sources),
            Family(names.JOURNAL_LOST_EARLIER, [((), lost_earlier)]),
        ]

    def _read(self, pattern: str) -> Iterator[tuple[str, Status]]:
        for path in sorted(self._directory.glob(pattern)):
            try:
                yield path.stem, read(path)
            except FileNotFoundError:
                continue
            except (OSError, StatusError):
                self.troubles += 1

    def _source(self, page: Status) -> str:
        known = page.config_source in range(len(self._sources))
        return self._sources[page.config_source] if known else names.OTHER

    def _values(self, page: Status, now_us: int) -> dict[str, float]:
        return {
            names.IN_FLIGHT.name: page.in_flight,
            names.JOURNAL_LOST.name: page.lost,
            names.JOURNAL_TROUBLE.name: page.journal_trouble,
            names.CONTENT_LOST.name: page.content_lost,
            names.SNAPSHOT_EPOCH.name: page.snapshot_epoch,
            names.SNAPSHOT_VERSION.name: page.snapshot_version,
            names.SNAPSHOT_AGE.name: max(now_us - page.snapshot_taken_at, 0) * _S,
            names.SNAPSHOT_STALE.name: page.stale,
            names.PAGE_AGE.name: max(now_us - page.updated_at, 0) * _S,
        }


_OF_ONE: tuple[Instrument, ...] = (
    *(names.IN_FLIGHT, names.JOURNAL_LOST, names.JOURNAL_TROUBLE, names.CONTENT_LOST),
    *(names.SNAPSHOT_EPOCH, names.SNAPSHOT_VERSION, names.SNAPSHOT_AGE, names.SNAPSHOT_STALE, names.PAGE_AGE),
)
