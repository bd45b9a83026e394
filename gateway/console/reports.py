"""What an analyst asks of the lake, for the API's handlers and for `turnout ... --direct` alike.

It owns the console's DuckDB, which is opened at the first question: most consoles start without one. A question blocks
its caller; handlers ask in threads.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import anyio

from analytics.comparison import Comparison
from analytics.lake.place import MissingPackageError, Place
from gateway.console.control import Control
from gateway.errors import ApiError, BadRequestError

if TYPE_CHECKING:
    from analytics.warehouse.database import Warehouse

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


AT_ONCE = 2
"""Reports that are computed at the same time; the others wait for their turn."""


class ReportError(ApiError):
    """The lake gives no answer now: it cannot be read, or the question takes too long."""

    status = 503
    code = "no_report"


class Reports:
    """Reports over a lake, that of a directory or another; may be called from any thread. Close it in the end.

    `turns` is for handlers: who takes one first never waits inside a thread.
    """

    def __init__(self, control: Control, lake: Path | Place) -> None:
        self._control = control
        self._lake = Place(url=str(lake)) if isinstance(lake, Path) else lake
        self.turns = anyio.CapacityLimiter(AT_ONCE)
        self._opening = Lock()
        self._opened: Warehouse | None = None

    def compare(
        self,
        rollout: str | None = None,
        *,
        generation: int | None = None,
        step: int | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Comparison:
        """Return the head-to-head table of a rollout; None: the only one.

        Without a `generation` it is the present one, without a `step` all of its steps. `since` and
        `until` are written by ISO 8601; without a zone they are UTC.
        """
        name, present = self._control.generation(rollout)
        first, end = parse_moment(since, "since"), parse_moment(until, "until")
        if first is not None and end is not None and first >= end:
            message = f"since {since} is not before until {until}; exchange them, or leave one out"
            raise BadRequestError(message, param="since")
        # DuckDB costs a tenth of a second and 30 MB, which only a console that is asked for reports should pay.
        from analytics.warehouse.database import WarehouseError  # noqa: PLC0415 - see above
        from analytics.warehouse.reports import compare  # noqa: PLC0415 - see above

        wanted = present if generation is None else generation
        try:
            return compare(
                self._warehouse(), name, wanted, as_of=time.time_ns() // 1000, step=step, since=first, until=end
            )
        except (WarehouseError, MissingPackageError) as error:
            raise ReportError(str(error)) from error

    def close(self) -> None:
        """Let go of the memory."""
        if self._opened is not None:
            self._opened.close()

    def _warehouse(self) -> Warehouse:
        from analytics.warehouse.database import Warehouse  # noqa: PLC0415 - see `compare`

        with self._opening:
            if self._opened is None:
                self._opened = Warehouse(self._lake.open())
            return self._opened


def parse_moment(text: str | None, place: str) -> int | None:
    """Return microseconds since 1970 UTC of a date or a time as ISO 8601 writes it.

    Raises:
        BadRequestError: it is none.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        known = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return (known.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        message = f"{text!r} is no time; write for example 2026-11-22 or 2026-11-22T14:30:00Z"
        raise BadRequestError(message, param=place) from error
