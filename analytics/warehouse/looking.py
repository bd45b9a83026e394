"""What the tables of the evidence say of one step, as the gate reads it: `StepEvidence`. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import msgspec

from analytics.evidence import Answered, ArmSums, Check, CheckSums, FailingUsers, Quality, StepEvidence, StepWindow
from analytics.figures import ClusterSums
from analytics.warehouse.evidence_tables import LATENCIES
from analytics.warehouse.views import text_of

_US = 1_000_000
_NOTHING = ClusterSums(users=0, n=0, x=0, xx=0, xn=0, nn=0)
Row = Mapping[str, Any]


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """From which columns a figure's n, x, y and events come."""

    n: str
    x: str
    y: str = "0"
    events: str = "0"


MEASURED: Mapping[Check, Measure] = {
    "errors": Measure(n="errors_n", x="errors_x", events="errors_x"),
    **{check: Measure(n=f"{check}_n", x=f"{check}_x", y=f"{check}_y", events=f"{check}_x") for check in LATENCIES},
    "satisfaction": Measure(n="satisfaction_n", x="satisfaction_x / 4", events="satisfaction_e"),
}
FEEDBACK = Measure(n="feedback_n", x="feedback_x", events="feedback_x")
COST = Measure(n="cost_n", x="cost_x / 1e12")


class Looking:
    """Asks the tables of `connection`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def look(
        self,
        window: StepWindow,
        step_id: int,
        *,
        now: int,
        as_of: int,
        failing: tuple[FailingUsers, ...],
        quality: Quality,
    ) -> StepEvidence:
        """Return what is known of a step `now` (microseconds), with what `quality` says of how it was recorded."""
        arms = {row["arm"]: row for row in self._ask("evidence_arms", step=step_id)}
        base, candidate = arms.get("base"), arms.get("candidate")
        return StepEvidence(
            rollout=window.rollout,
            generation=window.generation,
            step=window.step,
            as_of=as_of,
            checks={check: self.sums(step_id, MEASURED[check]) for check in checks_of(window)},
            feedback=self.sums(step_id, FEEDBACK),
            cost=self.sums(step_id, COST),
            costed_share_base=_share(base, "costed", "uncosted"),
            costed_share_candidate=_share(candidate, "costed", "uncosted"),
            net_base=_mean(base, "net", "answers"),
            net_candidate=_mean(candidate, "net", "answers"),
            failing=failing,
            quality=self._quality(window, step_id, now, arms, quality),
            fallback_share=_mean(candidate, "fallbacks", "requests") or 0.0,
            base_answered=Answered(**{name: _count(base, name) for name in Answered.__struct_fields__}),
        )

    def sums(self, step_id: int, measure: Measure, users: str = "evidence_user") -> CheckSums:
        """Return both arms' sums of a figure, of a table of users."""
        statement = text_of("evidence_sums").format(users=users, **msgspec.structs.asdict(measure))
        rows = {row["arm"]: row for row in self._rows(statement, {"step": step_id})}
        has_y = measure.y != "0"
        cap = next((row["cap"] for row in rows.values()), 1.0)
        return CheckSums(
            cap=cap, base=arm_of(rows.get("base"), has_y=has_y), candidate=arm_of(rows.get("candidate"), has_y=has_y)
        )

    def _quality(self, window: StepWindow, step_id: int, now: int, arms: Mapping[str, Row], told: Quality) -> Quality:
        recent = self._ask("evidence_recently", step=step_id, since=now - round(window.silence_s * _US))
        requests = {row["arm"]: row["requests"] for row in recent}
        mixed = next(iter(self._rows("SELECT * FROM evidence_mixed WHERE step_id = $step", {"step": step_id})), None)
        base, candidate = arms.get("base"), arms.get("candidate")
        return msgspec.structs.replace(
            told,
            base_users=_count(base, "users"),
            candidate_users=_count(candidate, "users"),
            base_rows=_count(base, "requests"),
            candidate_rows=_count(candidate, "requests"),
            crossed_rows=_count(base, "crossed") + _count(candidate, "crossed"),
            crossed_users=_count(base or candidate, "crossed_users"),
            unclosed_base=_count(base, "unclosed"),
            unclosed_candidate=_count(candidate, "unclosed"),
            quiet_base_s=_quiet_s(window, base, now),
            quiet_candidate_s=_quiet_s(window, candidate, now),
            recent_base_rows=requests.get("base", 0),
            recent_candidate_rows=requests.get("candidate", 0),
            mixed_rows=_count(mixed, "mixed"),
            settled_rows=_count(mixed, "settled"),
        )

    def _ask(self, question: str, **parameters: int) -> list[dict[str, Any]]:
        return self._rows(text_of(question), parameters)

    def _rows(self, statement: str, parameters: Mapping[str, int]) -> list[dict[str, Any]]:
        answer = self._connection.execute(statement, dict(parameters))
        names = [column[0] for column in answer.description]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def checks_of(window: StepWindow) -> list[Check]:
    """Return the checks that a window measures: of latency those that have thresholds."""
    return [check for check in MEASURED if check not in LATENCIES or check in window.thresholds]


def arm_of(row: Row | None, *, has_y: bool) -> ArmSums:
    """Return an arm's sums from a row of `evidence_sums.sql`, or of one that has the same columns."""
    if row is None:
        return ArmSums(requests=0, events=0, x=_NOTHING, y=_NOTHING if has_y else None)
    x = ClusterSums(**{name: row[name] for name in ClusterSums.__struct_fields__})
    y = ClusterSums(users=x.users, n=x.n, nn=x.nn, x=row["y_x"], xx=row["y_xx"], xn=row["y_xn"])
    return ArmSums(requests=row["requests"], events=row["events"], x=x, y=y if has_y else None)


def _count(row: Row | None, name: str) -> int:
    return 0 if row is None else row[name] or 0


def _mean(row: Row | None, what: str, of: str) -> float | None:
    return row[what] / row[of] if row is not None and row[of] else None


def _share(row: Row | None, what: str, rest: str) -> float | None:
    whole = _count(row, what) + _count(row, rest)
    return _count(row, what) / whole if whole else None


def _quiet_s(window: StepWindow, row: Row | None, now: int) -> float:
    last_at = window.started_at if row is None else max(row["last_at"], window.started_at)
    return max(0.0, (now - last_at) / _US)
