"""An in-memory DuckDB over the lake's files. Owns its settings, and the views that every question reads.

Each question gets a connection of its own, so that two threads never share one, and its views are temporary: they see
the files that lie in the lake at that moment. Nothing is kept, nothing is written. It is no sandbox: the questions are
ours.

    requests    one row a request, as `docs/lake.md` says, wherever it lies: `analytics/lake/once.py`
    feedback    one row a piece of feedback, as it was received, not judged
    judged      one row a piece of feedback, with what became of it, as `queries/feedback.sql` says
    ratings     one row a request that was rated, as `queries/ratings.sql` says
    verdicts    one row a thumb or rating, not judged, as `queries/verdicts.sql` says
    pieces      one row a piece of feedback, not judged, as `queries/pieces.sql` says
    hourly      sums by hour: `analytics/lake/rollup.py`
    rated_hours, daily, costs, satisfaction     as the questions of these names say

Reports read the requests through macros, which take what they are narrowed to: `narrowed(asked)`, `arms(asked)` and
`waits(asked)`, as the questions of these names say.

On a host that writes the lake, what its journals hold and the lake does not yet is in the views as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import BoundedSemaphore, Timer
from typing import Any, Protocol

import duckdb

from analytics.lake.contents import contents
from analytics.lake.present import Present, look
from analytics.lake.rollup import prepare
from analytics.lake.store import Store, reason_of
from analytics.narrowing import micros_of
from analytics.warehouse.views import ALL, Span, Views, make_macros, text_of

LIMIT_S = 60.0
"""A question that takes longer is broken off."""

_AT_ONCE = 2
_ENDING_S = 5.0
_AGAIN_S = 0.05
"""How long who closes breaks off what is asked, and how often."""
_REMEDY = "; `turnout lake verify` names each file that cannot be"
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "memory_limit": "1GB",
    "max_temp_directory_size": "0KB",
    # what a question had in memory goes back to the system when it is let go of, not into a pool for the next
    "allocator_bulk_deallocation_flush_threshold": "16MB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
}


_LEFT_AS_WRITTEN = "join_order,build_side_probe_side"
"""A join keeps its right side in memory: ours is the smaller one; behind conditions an optimizer guesses wrong."""


def _now() -> int:
    return time.time_ns() // 1000


class WarehouseError(RuntimeError):
    """A question got no answer.

    QuestionLimitError      it was broken off after `LIMIT_S`, waited as long for others, or needs too much memory
    UnreadableLakeError     a file of the lake cannot be read
    """


class QuestionLimitError(WarehouseError):
    """The answer took more time or memory than there is."""


class UnreadableLakeError(WarehouseError):
    """A file of the lake cannot be read, or is none of ours."""


class Answers(Protocol):
    """What answers the questions of `queries/`: a warehouse, or one look into it."""

    def ask(self, question: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Return the answer to a question: a dict a row, by column."""
        ...


class Look:
    """The lake as it was `asked_at` a moment (microseconds since 1970 UTC), for questions, and how fresh that is."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, present: Present, views: Views) -> None:
        self.connection, self.freshness, self.asked_at = connection, present.freshness, present.asked_at
        self._views = views

    def ask(self, question: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Return the answer to a question of `queries/`: a dict a row, by column."""
        text = text_of(question)
        self._views.make_for(text, _span_of(parameters or {}))
        answer = self.connection.execute(text, dict(parameters or {}))
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


class Warehouse:
    """Answers questions about one lake; threads may ask at once, `_AT_ONCE` are answered. Close it in the end.

    `journal` is where a shipper of this host has what it carries to this lake; None: nothing of it comes from here.
    `clock` gives microseconds since 1970 UTC.
    """

    def __init__(
        self,
        lake: Store,
        journal: Path | None = None,
        *,
        limit_s: float = LIMIT_S,
        clock: Callable[[], int] = _now,
    ) -> None:
        self._lake = lake
        self._journal, self._clock = journal, clock
        self._limit_s = limit_s
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._looks: list[duckdb.DuckDBPyConnection] = []
        self._is_over = False
        self._database = duckdb.connect(":memory:", config=_SETTINGS)
        lake.attach(self._database)
        prepare(self._database)
        make_macros(self._database)
        self._database.execute(f"SET disabled_optimizers = '{_LEFT_AS_WRITTEN}'")
        self._database.execute("SET lock_configuration = true")

    def ask(self, question: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Return the answer to a question of `queries/`: a dict a row, by column. It blocks: call it in a thread.

        Raises:
            WarehouseError: see there.
        """
        with self.look() as found:
            return found.ask(question, parameters)

    @contextmanager
    def connection(self, views: Collection[str] = ALL) -> Generator[duckdb.DuckDBPyConnection]:
        """Yield the connection of one `look`."""
        with self.look(views) as found:
            yield found.connection

    @contextmanager
    def look(self, views: Collection[str] = ()) -> Generator[Look]:
        """Yield the lake as it is now, with these views; what is asked of it within `limit_s` must be ours.

        Raises:
            WarehouseError: see there; also for what is asked inside.
        """
        if not self._turns.acquire(timeout=self._limit_s):
            message = f"other reports kept the warehouse busy for {self._limit_s:g} s; ask again later"
            raise QuestionLimitError(message)
        try:
            with self._database.cursor() as connection, self._bounded(connection), self._breakable(connection):
                present = look(self._lake, self._journal, self._clock)
                made = Views(connection, self._lake.address, contents(self._lake), present.unsealed)
                made.make(views)
                yield Look(connection, present, made)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Break off what is asked in whatever thread, and let go of the memory."""
        self._is_over, give_up_s = True, time.monotonic() + _ENDING_S
        while self._looks and time.monotonic() < give_up_s:
            self._lake.break_off()
            time.sleep(_AGAIN_S)
        self._database.close()

    @contextmanager
    def _breakable(self, connection: duckdb.DuckDBPyConnection) -> Generator[None]:
        """Let `close` break off what is asked on a connection; what begins after it is refused."""
        self._looks.append(connection)
        self._lake.questions.add(connection)
        try:
            if self._is_over:
                raise duckdb.InterruptException
            yield
        finally:
            self._lake.questions.remove(connection)
            self._looks.remove(connection)

    @contextmanager
    def _bounded(self, connection: duckdb.DuckDBPyConnection) -> Generator[None]:
        alarm = Timer(self._limit_s, _break_off, [connection])
        alarm.daemon = True
        alarm.start()
        try:
            yield
        except duckdb.InterruptException as error:
            if self._is_over:
                message = "this process ends, and computes no report any more"
                raise WarehouseError(message) from error
            message = f"the answer took longer than {self._limit_s:g} s and was broken off; ask for a shorter time"
            raise QuestionLimitError(message) from error
        except duckdb.OutOfMemoryException as error:
            message = f"the answer needs more memory than {_SETTINGS['memory_limit']}; ask for a shorter time"
            raise QuestionLimitError(message) from error
        except (duckdb.IOException, duckdb.InvalidInputException, duckdb.BinderException, OSError) as error:
            message = f"the lake cannot be read: {str(error).splitlines()[0]}{_REMEDY}"
            raise UnreadableLakeError(message) from error
        except duckdb.Error as error:
            if type(error) is not duckdb.Error:
                raise
            # What a foreign file system raises comes as a traceback's text, its cause in the last line.
            message = f"the lake cannot be read: {reason_of(error)}"
            raise UnreadableLakeError(message) from error
        finally:
            alarm.cancel()
            # At the interpreter's end a thread that still holds the connection makes DuckDB complain of leaks.
            alarm.join()


def _span_of(parameters: Mapping[str, object]) -> Span:
    """Return the time that a question is about: its parameter `asked` says so, as `narrowing.sql_struct` made it."""
    asked: Any = parameters.get("asked", {})
    since, until = asked.get("since"), asked.get("until")
    return (since and micros_of(since), until and micros_of(until))


def _break_off(connection: duckdb.DuckDBPyConnection) -> None:
    """Stop what a connection does; it may have ended at this very moment."""
    with suppress(duckdb.Error):
        connection.interrupt()
