"""What analysts ask in SQL, for the API and for `turnout sql --direct` alike: who, of which copy, within what limits.

It owns the published copies and the statements that run; the walls around these are those of
`analytics/warehouse/sandbox.py`. Each statement is logged with who asked it. A statement blocks its caller; handlers
ask in threads of their own number.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import anyio
import msgspec

from analytics.freshness import Freshness
from analytics.lake.place import Place
from analytics.warehouse.copies import Copies, CopyRules, NoCopyError
from analytics.warehouse.order import Form, Scalar
from analytics.warehouse.sandbox import (
    Answer,
    CancelledQueryError,
    QueryLimitError,
    QueryLimits,
    RefusedQueryError,
    SandboxError,
    run,
)
from analytics.warehouse.walls import landlock_version
from gateway.console.running import SHOWN_CHARACTERS, Asker, NoAnswerError, Running, Statements
from gateway.console.saved import SAVED, SavedQueries
from gateway.console.views import ColumnView
from gateway.errors import ApiError, BadRequestError
from gateway.settings.schema import Sql
from rollout.keys import Role

COPIES = "sql"
"""The folder of the copies in the state directory."""

AT_ONCE = 2
"""Statements that run at the same time; the others wait for their turn."""
MOST_WAITING = 20

Format = Literal["json", "csv", "parquet"]

_FORMS: Mapping[Format, Form] = {"json": "json", "csv": "csv", "parquet": "text"}
_MEMORY_LIMIT_MIB: Mapping[Role, int] = {"analyst": 256, "ops": 1024, "admin": 1024}
_log = logging.getLogger("turnout.console")


class CancelledError(ApiError):
    """Somebody cancelled the statement."""

    status = 409
    type = "invalid_request_error"
    code = "query_cancelled"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One statement, its parameters, and the name by which it can be cancelled."""

    query: str
    parameters: Mapping[str, Scalar] = {}
    id: str | None = None


class Queries:
    """Analysts' SQL over a lake, whose copies lie in `folder`; `saved` are kept beside it. Close it in the end.

    `journal` is where this host has what is not in that lake yet; None: nothing of it comes from here. Statements that
    `steps_back` leave the processor to everything else. May be called from any thread.

    `turns` is for handlers: who takes one first never waits inside a thread.
    """

    def __init__(
        self, settings: Sql, lake: Place, folder: Path, *, journal: Path | None = None, steps_back: bool = True
    ) -> None:
        self._settings = settings
        self._steps_back = steps_back
        self.saved = SavedQueries(folder.with_name(SAVED))
        self._copies = Copies(folder, lake, lambda: time.time_ns() // 1000, journal=journal)
        self._rules = CopyRules(days=settings.days, max_rows=settings.max_rows, refresh_s=settings.refresh_s)
        self.statements = Statements()
        self.turns = anyio.CapacityLimiter(AT_ONCE)

    def question(
        self, query: str | None, saved: str | None, parameters: Mapping[str, Scalar], query_id: str | None
    ) -> Question:
        """Return what is asked by a query or by a saved one's name, whose values hold unless others are given.

        Raises:
            ApiError: it is neither, or both, or none is saved by this name.
        """
        if query is not None and saved is None:
            return Question(query=query, parameters=parameters, id=query_id)
        if query is not None or saved is None:
            message = "send either a query or the name of a saved one"
            raise BadRequestError(message, param="query")
        known = self.saved.get(saved)
        return Question(query=known.query, parameters={**known.parameters, **parameters}, id=query_id)

    @contextmanager
    def registered(self, query_id: str | None, asker: Asker, query: str = "") -> Generator[Running]:
        """Let a statement be seen and cancelled by this name until the block ends, also while it waits for its turn.

        Raises:
            ApiError: the name is taken, or too many wait already, of all or of this key.
        """
        if self.turns.statistics().tasks_waiting >= MOST_WAITING:
            message = f"{MOST_WAITING} queries wait already; ask again later"
            raise NoAnswerError(message)
        with self.statements.registered(query_id, asker, query) as running:
            yield running

    def answer(self, question: Question, form: Format, asker: Asker, running: Running) -> Answer:
        """Return a statement's answer; its text is JSON lines or CSV, or for `parquet` the file.

        Raises:
            ApiError: it is refused, cancelled, needs more than there is, or cannot be run.
        """
        began_s, outcome, rows = time.monotonic(), "failed", 0
        try:
            found = self._run(question, form, asker, running)
            outcome, rows = "ok", found.rows
            return found
        except ApiError as error:
            outcome = error.code or outcome
            raise
        finally:
            took_ms = round((time.monotonic() - began_s) * 1000, 1)
            told = {"by": asker.name, "query": question.query[:SHOWN_CHARACTERS], "length": len(question.query)}
            _log.info("a query was asked", extra={**told, "outcome": outcome, "rows": rows, "took_ms": took_ms})

    def discard_copies(self) -> None:
        """Remove the copies, since rows that they have are in the lake no more; the next question gets a new one."""
        self._copies.discard()

    def close(self) -> None:
        """End what runs, and remove the copies."""
        self.statements.cancel_all()
        self._copies.close()

    def _run(self, question: Question, form: Format, asker: Asker, running: Running) -> Answer:
        limits = QueryLimits(
            time_s=self._settings.timeout_s,
            memory_limit_mib=_MEMORY_LIMIT_MIB[asker.role],
            require_landlock=self._settings.require_landlock,
            steps_back=self._steps_back,
        )
        try:
            if running.is_set:
                raise CancelledQueryError
            running.is_at("copying")
            copy = self._copies.fresh(self._rules, asker.applications)
            running.is_at("running")
            found = run(
                question.query,
                copy,
                limits,
                parameters=question.parameters,
                form=_FORMS[form],
                cancellation=running,
                tell=running.is_done_to,
            )
        except (SandboxError, NoCopyError) as error:
            raise _answered(error) from error
        except FileNotFoundError as error:
            message = "the copy was removed at this very moment, because rows were erased; ask again"
            raise NoAnswerError(message) from error
        freshness = self._copies.freshness(copy, found.as_of)
        if asker.applications is not None:
            freshness = Freshness(fresh_to=freshness.fresh_to)  # hosts are not theirs to know
        found = msgspec.structs.replace(found, freshness=freshness)
        return _as_parquet(found) if form == "parquet" else found


def known_format(name: str) -> Format:
    """Return the format of this name.

    Raises:
        BadRequestError: there is none.
    """
    found: Format | None = next((one for one in _FORMS if one == name), None)
    if found is None:
        message = f"there is no format {name!r}; there are {', '.join(_FORMS)}"
        raise BadRequestError(message, param="format")
    return found


def body(found: Answer, form: Format) -> bytes:
    """Return an answer as callers get it; JSON as one object (`AnswerView`), its rows as the sandbox wrote them."""
    if form != "json":
        return found.text
    head = {
        "as_of": found.as_of,
        "freshness": found.freshness,
        "row_count": found.rows,
        "landlock": found.walls.landlock,
        "empty_network": found.walls.empty_network,
        "columns": [ColumnView(name=name, type=kind) for name, kind in found.columns],
    }
    rows = b",\n".join(found.text.split(b"\n")[:-1])
    return msgspec.json.encode(head)[:-1] + b',"rows":[\n' + rows + b"\n]}\n"


def warn_of_missing_walls() -> None:
    """Say in the log when this kernel cannot forbid a process all files."""
    if not landlock_version():
        _log.warning("this kernel has no Landlock: analysts' SQL is held by DuckDB's settings and process limits alone")


def _as_parquet(answer: Answer) -> Answer:
    # DuckDB costs a tenth of a second and 30 MB, which only a console that is asked for such files should pay.
    from analytics.warehouse.columnar import NoParquetError, parquet  # noqa: PLC0415 - see above

    try:
        return msgspec.structs.replace(answer, text=parquet(answer))
    except NoParquetError as error:
        raise BadRequestError(str(error), param="query", code="invalid_query") from error


def _answered(error: SandboxError | NoCopyError) -> ApiError:
    """Turn what the warehouse raises into what a caller of the console may see."""
    if isinstance(error, RefusedQueryError):
        return BadRequestError(str(error), param="query", code="invalid_query")
    if isinstance(error, QueryLimitError):
        return BadRequestError(str(error), param="query", code="query_limit")
    if isinstance(error, CancelledQueryError):
        return CancelledError("the query was cancelled")
    return NoAnswerError(str(error))
