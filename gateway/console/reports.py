"""What an analyst asks of the lake, for the API's handlers and for `turnout ... --direct` alike.

It owns the console's DuckDB, which is opened at the first question: most consoles start without one. A question blocks
its caller; handlers ask in threads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from analytics.comparison import Comparison
from analytics.costs import CostReport
from analytics.failures import FailureReport
from analytics.lake.place import MissingPackageError, Place
from analytics.narrowing import Narrowing
from analytics.satisfaction import Satisfaction
from analytics.traffic import TrafficReport
from gateway.console.behind import Behind
from gateway.console.control import Control
from gateway.console.narrowing import (
    EVERYTHING,
    Asked,
    Values,
    check_generation,
    check_known,
    check_parts,
    check_step,
    narrowing,
)
from gateway.errors import ApiError
from rollout.flag import Flag

if TYPE_CHECKING:
    from analytics.warehouse.database import Look, Warehouse

AT_ONCE = 2
"""Reports that are computed at the same time; the others wait for their turn."""

_ALL = 1_000_000
_Answer = TypeVar("_Answer")
_Report = TypeVar("_Report", Comparison, CostReport, FailureReport, Satisfaction, TrafficReport)


class ReportError(ApiError):
    """The lake gives no answer now: it cannot be read, or the question takes too long."""

    status = 503
    code = "no_report"


class Reports:
    """Reports over a lake, that of a directory or another; may be called from any thread. Close it in the end.

    `journal` is where this host has what is not in that lake yet; None: nothing of it comes from here.
    Handlers ask in its `threads`.
    """

    def __init__(self, control: Control, lake: Path | Place, journal: Path | None = None) -> None:
        self._control = control
        self._journal = journal
        self._lake = Place(url=str(lake)) if isinstance(lake, Path) else lake
        self.threads = Behind(AT_ONCE)
        self._opening = Lock()
        self._opened: Warehouse | None = None

    def compare(self, asked: Asked = EVERYTHING, *, as_treated: bool = False) -> Comparison:
        """Return the head-to-head table of a rollout, by default the only one, and of its present generation.

        Raises:
            ApiError: there is no such rollout, step, endpoint and so on, a time is none, or the lake gives no answer.
        """
        from analytics.warehouse.reports import compare  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_rollout(asked)

        def find(seen: Look) -> Comparison:
            return compare(seen, *_named(to), as_of=seen.asked_at, to=to, as_treated=as_treated)

        return self._one(find, _requests, to, flag)

    def compare_by(self, by: str, asked: Asked = EVERYTHING, *, as_treated: bool = False) -> list[Comparison]:
        """Return such a table for each part of the requests, as `narrowing.BY` lists them.

        Raises:
            ApiError: as `compare`; or there are too many parts, or no request carries the tag.
        """
        from analytics.warehouse.reports import compare_by  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_rollout(asked)

        def find(seen: Look) -> list[Comparison]:
            return compare_by(seen, *_named(to), by, as_of=seen.asked_at, to=to, as_treated=as_treated)

        return self._each(find, to, flag, by)

    def cost(self, asked: Asked = EVERYTHING) -> CostReport:
        """Return what the requests of a rollout cost, or without any those of all traffic.

        Raises:
            ApiError: as `compare_by`.
        """
        from analytics.warehouse.tables import cost  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_any(asked)
        present = {one.name: one.generation for one in self._control.list_rollouts()}

        def find(seen: Look) -> CostReport:
            return cost(seen, to, as_of=seen.asked_at, present=present, by=asked.by)

        return self._one(find, lambda found: found.total.requests, to, flag, asked.by)

    def errors(self, asked: Asked = EVERYTHING) -> FailureReport:
        """Return what failed of the requests of a rollout, or without any of all traffic.

        Raises:
            ApiError: as `compare_by`.
        """
        from analytics.warehouse.tables import errors  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_any(asked)

        def find(seen: Look) -> FailureReport:
            return errors(seen, to, as_of=seen.asked_at, by=asked.by)

        return self._one(find, lambda found: found.requests, to, flag, asked.by)

    def traffic(self, asked: Asked = EVERYTHING) -> TrafficReport:
        """Return how the requests of a rollout were split, by default of the only one.

        Raises:
            ApiError: as `compare_by`.
        """
        from analytics.warehouse.tables import traffic  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_rollout(asked)

        def find(seen: Look) -> TrafficReport:
            return traffic(seen, to, as_of=seen.asked_at, by=asked.by)

        return self._one(find, lambda found: len(found.steps), to, flag, asked.by)

    def satisfaction(self, asked: Asked = EVERYTHING) -> Satisfaction:
        """Return what users say of both arms' answers.

        Raises:
            ApiError: as `compare`.
        """
        from analytics.warehouse.satisfaction import satisfaction  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_rollout(asked)
        return self._one(lambda seen: satisfaction(seen, to, as_of=seen.asked_at), _requests, to, flag)

    def satisfaction_by(self, by: str, asked: Asked = EVERYTHING) -> list[Satisfaction]:
        """Return the same for each part of the requests, as `narrowing.BY` lists them.

        Raises:
            ApiError: as `compare_by`.
        """
        from analytics.warehouse.satisfaction import satisfaction_by  # noqa: PLC0415 - see `_answer`

        flag, to = self._of_rollout(asked)
        return self._each(lambda seen: satisfaction_by(seen, to, by, as_of=seen.asked_at), to, flag, by)

    def close(self) -> None:
        """Let go of the threads and the memory."""
        self.threads.close()
        if self._opened is not None:
            self._opened.close()

    def _of_rollout(self, asked: Asked) -> tuple[Flag, Narrowing]:
        """Return the rollout that is meant, and what its report is narrowed to: by default its present generation."""
        flag = self._control.flag(asked.rollout)
        generation = flag.generation if asked.generation is None else asked.generation
        return flag, narrowing(asked, rollout=flag.rollout, generation=generation)

    def _of_any(self, asked: Asked) -> tuple[Flag | None, Narrowing]:
        """Return the same, or all traffic where nothing is asked that only a rollout has."""
        if any(one is not None for one in (asked.rollout, asked.generation, asked.step, asked.phase)):
            return self._of_rollout(asked)
        return None, narrowing(asked, rollout=None, generation=None)

    def _one(
        self,
        find: Callable[[Look], _Report],
        count: Callable[[_Report], int],
        to: Narrowing,
        flag: Flag | None,
        by: str | None = None,
    ) -> _Report:
        """Return a report, which says how fresh it is; where it counts no request, refuse what none has."""

        def ask(seen: Look) -> _Report:
            if by is not None:
                check_parts(by, _values(seen, to))
            found = find(seen)
            if not count(found):
                _refuse_unknown(seen, to, flag)
            return replace(found, freshness=seen.freshness)

        return self._answer(ask)

    def _each(self, find: Callable[[Look], list[_Report]], to: Narrowing, flag: Flag, by: str) -> list[_Report]:
        """Return a report for each part; where there is none, refuse what no request has."""

        def ask(seen: Look) -> list[_Report]:
            check_parts(by, _values(seen, to))
            found = find(seen)
            if not found:
                _refuse_unknown(seen, to, flag)
            return [replace(one, freshness=seen.freshness) for one in found]

        return self._answer(ask)

    def _answer(self, ask: Callable[[Look], _Answer]) -> _Answer:
        """Return what is found in the warehouse; that it gives no answer becomes a `ReportError`."""
        # DuckDB costs a tenth of a second and 30 MB, which only a console that is asked for reports should pay.
        from analytics.warehouse.again import again  # noqa: PLC0415 - see above
        from analytics.warehouse.database import Warehouse, WarehouseError  # noqa: PLC0415 - see above

        try:
            with self._opening:
                if self._opened is None:
                    self._opened = Warehouse(self._lake.open(), self._journal)
            return again(partial(_looked, self._opened, ask))
        except (WarehouseError, MissingPackageError) as error:
            raise ReportError(str(error)) from error


def _looked(warehouse: Warehouse, ask: Callable[[Look], _Answer]) -> _Answer:
    """Return what is found in one look, whatever it takes to find it."""
    with warehouse.look() as seen:
        return ask(seen)


def _refuse_unknown(seen: Look, to: Narrowing, flag: Flag | None) -> None:
    """Refuse what no request of the rollout has, where a report found none."""
    there = _values(seen, to)
    check_known(to, there)
    if to.generation is not None and flag is not None and not there("hour", None, 1):
        check_generation(to.generation, flag.generation)
    if to.step is not None and flag is not None:
        is_present = to.generation == flag.generation
        steps = () if is_present else there("step", None, _ALL)
        check_step(to.step, flag.step if is_present else max(map(int, steps), default=0))


def _values(seen: Look, to: Narrowing) -> Values:
    """Return what lists the values that the requests of the same rollout, generation and time have."""
    from analytics.warehouse.reports import values  # noqa: PLC0415 - see `_answer`

    every = Narrowing(rollout=to.rollout, generation=to.generation, since=to.since, until=to.until)
    return lambda what, first, most: values(seen, what, every, first=first, most=most)


def _named(to: Narrowing) -> tuple[str, int]:
    """Return the rollout and the generation of a report that is about one."""
    return str(to.rollout), int(to.generation or 0)


def _requests(found: Comparison | Satisfaction) -> int:
    return found.base.requests + found.candidate.requests
