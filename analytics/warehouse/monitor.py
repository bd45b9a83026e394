"""Base as it was, and each hour since everybody is a candidate: from the lake's rows themselves, in memory.

The law: both are added up by the same questions, by the same rules of what enters as a gate's evidence. Nothing else
waits for it, and nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import duckdb
from msgspec.structs import replace

from analytics.baseline import Baseline, Clock, Frozen, Span, is_thin
from analytics.evidence import ArmSums, Check, StepWindow
from analytics.lake.contents import Contents, contents
from analytics.lake.layout import FEEDBACK, INCOMING
from analytics.lake.once import KINDS, view_once
from analytics.lake.store import Store
from analytics.warehouse.evidence_tables import LATENCIES, NEEDED_OF, in_memory
from analytics.warehouse.followed import Followed
from analytics.warehouse.gate_rows import gate_of
from analytics.warehouse.looking import MEASURED, arm_of, checks_of
from analytics.warehouse.views import text_of

_FEEDBACK_US = 48 * 3600 * 1_000_000
"""A verdict counts so long after its request began."""
_ROWS = """(
    SELECT * REPLACE (0::INTEGER AS step, 0::DECIMAL(5, 2) AS percent) FROM ({needed})
    WHERE arm_assigned = '{arm}' AND started_at >= make_timestamp({since}) AND started_at < make_timestamp({until})
)"""
_CELLS, _SAID, _VERDICTS = "monitored", "monitored_said", "monitored_verdicts"
_RECEIVED = f"""(
    FROM {KINDS[FEEDBACK].name}
    WHERE received_at >= make_timestamp($since::BIGINT) AND received_at < make_timestamp($until::BIGINT)
)"""
_FIRST = f"""
SELECT min(CASE
    WHEN request_id IS NULL THEN epoch_us(received_at) - {_FEEDBACK_US}
    ELSE 1000 * ('0x' || replace(request_id::VARCHAR, '-', '')[:12])::BIGINT
END)::BIGINT FROM {_VERDICTS}
"""  # noqa: S608 - ours
_TABLE = "CREATE OR REPLACE TEMP TABLE {name} AS {rows}"
_SEEN = f"SELECT coalesce(sum(gate_n), 0)::BIGINT, count(DISTINCT user_hash) FROM {_CELLS}"  # noqa: S608 - ours
_ENDLESS = 2**62
_BESIDE = {False: [-1, 0, 1], True: [0]}
"""To which slots of the week base's counts: an hour to its neighbours too, a day to no other."""


Apart = Callable[[int, int], Collection[str]]
"""From a time (microseconds since 1970 UTC) to files that are known to have no row of it."""


def _nothing_apart(since: int, until: int) -> Collection[str]:
    del since, until
    return ()


def baseline(store: Store, span: Span, apart: Apart = _nothing_apart) -> Baseline:
    """Return base of some time, by the hours of the week, or where these have too few users by its days.

    `apart` tells which files are known to have no row of a time.

    Raises:
        duckdb.Error, OSError: the lake cannot be read.
    """
    with in_memory(store) as connection:
        _add_up(connection, store, span, apart)
        [(requests, users)] = connection.execute(_SEEN).fetchall()
        found: dict[Check, Frozen] = {
            check: _frozen(connection, check, span.clock) for check in checks_of(_window(span))
        }
    return Baseline(span=span, checks=_some(found), requests=requests, users=users)


def _some(found: Mapping[Check, Frozen]) -> Mapping[Check, Frozen]:
    return {check: frozen for check, frozen in found.items() if frozen.slots}


def passed(
    store: Store, span: Span, frozen: Mapping[Check, Frozen], apart: Apart = _nothing_apart
) -> Mapping[Check, Mapping[int, ArmSums]]:
    """Return the sums of each slot (hour, or day where base is frozen by days) of some time, by its number since 1970.

    `apart` as in `baseline`.

    Raises:
        duckdb.Error, OSError: the lake cannot be read.
    """
    with in_memory(store) as connection:
        _add_up(connection, store, span, apart, is_rated="satisfaction" in frozen)
        return {
            check: _slots(
                connection, check, hours=span.clock.hours(by_day=one.by_day), cap=one.cap, shifts=[0], cycle=_ENDLESS
            )[1]
            for check, one in frozen.items()
        }


def _add_up(
    connection: duckdb.DuckDBPyConnection, store: Store, span: Span, apart: Apart, *, is_rated: bool = True
) -> None:
    """Make the tables of users' hours; of what they said only if `is_rated`."""
    found = contents(store)
    within = {"since": span.since, "until": span.until}
    Followed(connection).follow(_window(span))
    earliest = span.since
    if is_rated:
        _view(connection, store, FEEDBACK, found[FEEDBACK], span.since, span.until, apart)
        said = text_of("evidence_verdicts").format(rows=_RECEIVED)
        connection.execute(_TABLE.format(name=_VERDICTS, rows=said), within)
        [(first,)] = connection.execute(_FIRST).fetchall()
        earliest = min(span.since, max(span.since - _FEEDBACK_US, first if first is not None else span.since))
    _view(connection, store, INCOMING, found[INCOMING], earliest, span.until, apart)
    within["hour"] = span.clock.hour_us
    cells = text_of("monitor_cells").format(rows=f"({_gate(span, span.since)})")
    connection.execute(_TABLE.format(name=_CELLS, rows=cells), within)
    if is_rated:
        about = text_of("evidence_found").format(rows=f"({_gate(span, earliest)})", verdicts=_VERDICTS)
        heard = text_of("monitor_said").format(found=about)
        connection.execute(_TABLE.format(name=_SAID, rows=heard), {**within, "rating": span.rating})


def _view(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    folder: str,
    found: Contents,
    since: int,
    until: int,
    apart: Apart,
) -> None:
    """Make the view of rows that has all of a time."""
    parts = [part for part in found.parts if part.last_at >= since and part.first_at < until]
    loose = sorted(found.loose.keys() - set(apart(since, until)))
    view_once(connection, store.address, KINDS[folder], parts=parts, loose=loose)


def _gate(span: Span, since: int) -> str:
    needed = NEEDED_OF.format(rows=f"FROM {KINDS[INCOMING].name}")
    rows = _ROWS.format(needed=needed, arm=span.arm, since=since, until=span.until)
    return gate_of(rows)


def _window(span: Span) -> StepWindow:
    """Return the window that all rows of a span are measured by, whatever step and percent they were of."""
    return StepWindow(
        rollout=span.rollout,
        generation=span.generation,
        step=0,
        percent=0.0,
        started_at=span.since,
        thresholds=span.thresholds,
        rating=span.rating,
    )


def _frozen(connection: duckdb.DuckDBPyConnection, check: Check, clock: Clock) -> Frozen:
    for by_day in (False, True):
        cap, slots = _slots(
            connection,
            check,
            hours=clock.hours(by_day=by_day),
            cap=None,
            shifts=_BESIDE[by_day],
            cycle=clock.cycle(by_day=by_day),
        )
        if by_day or not is_thin(clock, slots):
            break
    return Frozen(cap=cap, slots={slot: replace(sums, y=None) for slot, sums in slots.items()}, by_day=by_day)


def _slots(
    connection: duckdb.DuckDBPyConnection,
    check: Check,
    *,
    hours: int,
    cap: float | None,
    shifts: Collection[int],
    cycle: int,
) -> tuple[float, Mapping[int, ArmSums]]:
    """Return the cap, and the sums of each slot that has any."""
    measure = MEASURED[check]
    statement = text_of("monitor_sums").format(
        cells=_SAID if check == "satisfaction" else _CELLS,
        n=measure.n,
        x=measure.x,
        y=measure.y,
        events=measure.events,
    )
    asked = {"hours": hours, "cap": cap, "shifts": list(shifts), "cycle": cycle}
    answer = connection.execute(statement, asked)
    names = [column[0] for column in answer.description]
    rows = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    sums = {row["slot"]: arm_of(row, has_y=check in LATENCIES) for row in rows}
    return max((row["cap"] for row in rows), default=cap or 1.0), sums
