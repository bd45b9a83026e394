"""What an analyst asks of the lake, for the API's handlers and for `turnout ... --direct` alike.

It owns the console's DuckDB, which is opened at the first question: most consoles start without one. A question blocks
its caller; handlers ask in threads.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import anyio
import msgspec

from analytics.comparison import Comparison
from analytics.lake.place import MissingPackageError, Place
from gateway.console.control import Control
from gateway.errors import ApiError, BadRequestError, NotFoundError

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

    `journal` is where this host has what is not in that lake yet; None: nothing of it comes from here.
    `turns` is for handlers: who takes one first never waits inside a thread.
    """

    def __init__(self, control: Control, lake: Path | Place, journal: Path | None = None) -> None:
        self._control = control
        self._journal = journal
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
        endpoint: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> Comparison:
        """Return the head-to-head table of a rollout; None: the only one.

        Without a `generation` it is the present one, without a `step` or an `endpoint` all of them. `since` and
        `until` are written by ISO 8601; without a zone they are UTC.

        Raises:
            ApiError: there is no such rollout, step or endpoint, a time is none, or the lake gives no answer.
        """
        flag = self._control.flag(rollout)
        first, end = parse_moment(since, "since"), parse_moment(until, "until")
        if first is not None and end is not None and first >= end:
            message = f"since {since} is not before until {until}; exchange them, or leave one out"
            raise BadRequestError(message, param="since")
        # DuckDB costs a tenth of a second and 30 MB, which only a console that is asked for reports should pay.
        from analytics.warehouse.database import WarehouseError  # noqa: PLC0415 - see above
        from analytics.warehouse.reports import Narrowing, compare  # noqa: PLC0415 - see above

        wanted = flag.generation if generation is None else generation
        try:
            with self._warehouse().look() as seen:
                ask = partial(compare, seen, flag.rollout, wanted, as_of=seen.asked_at)
                found = ask(to=Narrowing(step=step, endpoint=endpoint, since=first, until=end))
                if step is not None and not _requests(found):
                    _check_step(step, flag.step if wanted == flag.generation else ask().last_step or 0)
                if endpoint is not None and not _requests(found):
                    _check_endpoint(endpoint, ask(to=Narrowing(step=step, since=first, until=end)))
        except (WarehouseError, MissingPackageError) as error:
            raise ReportError(str(error)) from error
        return msgspec.structs.replace(found, freshness=seen.freshness)

    def close(self) -> None:
        """Let go of the memory."""
        if self._opened is not None:
            self._opened.close()

    def _warehouse(self) -> Warehouse:
        from analytics.warehouse.database import Warehouse  # noqa: PLC0415 - see `compare`

        with self._opening:
            if self._opened is None:
                self._opened = Warehouse(self._lake.open(), self._journal)
            return self._opened


def _requests(found: Comparison) -> int:
    return found.base.requests + found.candidate.requests


def _check_step(step: int, last: int) -> None:
    """Refuse a step that never was: an empty table would look like one without requests."""
    if step > last:
        there = f"steps 1 to {last} exist" if last > 1 else "only step 1 exists" if last else "none exists yet"
        message = f"no such step: {step}; {there}"
        raise NotFoundError(message, param="step", code="step_not_found")


def _check_endpoint(endpoint: str, others: Comparison) -> None:
    """Refuse an endpoint that nobody called, where others were: most likely its name is wrong."""
    if others.endpoints:
        message = f"no request of the endpoint {endpoint!r}; there are: {', '.join(others.endpoints)}"
        raise NotFoundError(message, param="endpoint", code="endpoint_not_found")


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
