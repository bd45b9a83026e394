"""What the workers of this host say of themselves, read from their status pages."""

from __future__ import annotations

import os
from pathlib import Path

from analytics.journal.status import Status, StatusError, read
from gateway.console.views import WorkerView

STATUS_PATTERN = "*.status"
"""One page per worker in one directory; the name before the suffix is the worker's."""


def read_workers(directory: Path) -> list[WorkerView]:
    """Return the living workers; pages left by dead ones, and files that are no pages, are passed over."""
    views: list[WorkerView] = []
    for path in sorted(directory.glob(STATUS_PATTERN)):
        try:
            status = read(path)
        except (OSError, StatusError):
            continue
        if _lives(status.pid):
            views.append(_view(path.stem, status))
    return views


def _view(worker: str, status: Status) -> WorkerView:
    return WorkerView(
        worker=worker,
        snapshot=f"{status.snapshot_epoch}.{status.snapshot_version}",
        in_flight=status.in_flight,
        split_requests=status.split,
        split_without_user_key=status.anonymous,
    )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
