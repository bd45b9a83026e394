"""What the workers of this host say of themselves, read from their status pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from analytics.journal.status import TROUBLES, Status, StatusError, is_alive, read
from gateway.console.views import WorkerView

STATUS_PATTERN = "*.status"
"""One page per worker in one directory; the name before the suffix is the worker's."""
ENDED_PATTERN = "*.ended"
"""`NAME.BOOT.ended`: the last pages of workers that are gone and whose journal was in trouble."""


def read_workers(directory: Path) -> list[WorkerView]:
    """Return the living workers, and those gone whose journal was in trouble; files that are no pages are passed over.

    To forget one that is gone, remove its page.
    """
    return [*_pages(directory, STATUS_PATTERN), *_pages(directory, ENDED_PATTERN)]


def _pages(directory: Path, pattern: str) -> Iterator[WorkerView]:
    for path in sorted(directory.glob(pattern)):
        try:
            status = read(path)
        except (OSError, StatusError):
            continue
        has_ended = pattern == ENDED_PATTERN or not is_alive(status)
        if not has_ended or status.lost or status.journal_trouble:
            yield _view(path, status, has_ended=has_ended)


def _view(path: Path, status: Status, *, has_ended: bool) -> WorkerView:
    return WorkerView(
        worker=path.stem,
        snapshot=f"{status.snapshot_epoch}.{status.snapshot_version}",
        in_flight=status.in_flight,
        split_requests=status.split,
        split_without_user_key=status.anonymous,
        lost=status.lost,
        journal_trouble=TROUBLES[status.journal_trouble],
        ended_page=str(path) if has_ended else None,
    )
