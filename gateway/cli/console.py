"""What commands ask of a console, whether it runs or its files are read directly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from analytics.comparison import Comparison
from analytics.record import Arm
from analytics.satisfaction import Satisfaction
from gateway.cli.narrowing import Wanted
from gateway.console.gate_views import GateView, PlanView
from gateway.console.views import (
    ErasureView,
    HistoryView,
    KeyView,
    NewKeyView,
    RolloutView,
    RunningView,
    SavedView,
    WhoisView,
)
from rollout.moves import Wish

_View = TypeVar("_View")


class Console(Protocol):
    """What commands ask of a console; every method may raise an `Abort` with the console's own sentence."""

    def list_rollouts(self) -> list[RolloutView]:
        """Return the configured rollouts."""
        ...

    def show(self, name: str) -> RolloutView:
        """Return one rollout."""
        ...

    def set_percent(self, name: str, percent: str, seen_version: int, reason: str) -> RolloutView:
        """Move a percent."""
        ...

    def tell(self, name: str, wish: Wish, seen_version: int, reason: str, start_at: str | None) -> RolloutView:
        """Tell a rollout's plan to start, advance and so on."""
        ...

    def gate(self, name: str, reports: int, *, now: bool = False) -> GateView:
        """Return what a rollout's gate said last, or says `now`, with so many of its earlier reports."""
        ...

    def plan(self, name: str, *, suggest: bool = False) -> PlanView:
        """Return a rollout's plan, and if wished a forecast and a likelier plan."""
        ...

    def force_user(self, name: str, user: str, arm: Arm, seen_version: int, reason: str) -> RolloutView:
        """Pin a user to an arm."""
        ...

    def unforce_user(self, name: str, user: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for a user."""
        ...

    def unforce_hash(self, name: str, hash_digits: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for the user behind a hash."""
        ...

    def whois(self, user: str, name: str | None) -> list[WhoisView]:
        """Return which arm serves a user, and why."""
        ...

    def history(self, name: str | None, *, verify: bool) -> HistoryView:
        """Return a rollout's audit entries, or with None all, newest first."""
        ...

    def compare(self, asked: Wanted) -> Comparison:
        """Return a rollout's head-to-head table, of what `GET /api/v1/reports/compare` takes."""
        ...

    def compare_by(self, asked: Wanted) -> list[Comparison]:
        """Return such a table for each part, as `by` divides the report."""
        ...

    def satisfaction(self, asked: Wanted) -> Satisfaction:
        """Return what users say of both arms' answers, of what `GET /api/v1/reports/satisfaction` takes."""
        ...

    def satisfaction_by(self, asked: Wanted) -> list[Satisfaction]:
        """Return the same for each part, as `by` divides the report."""
        ...

    def report(self, shape: type[_View], asked: Wanted) -> _View:
        """Return another report of `REPORTS`, of what `GET /api/v1/reports/{name}` takes."""
        ...

    def ask(self, asked: Mapping[str, Any], form: str) -> bytes:
        """Return the answer to what `POST /api/v1/sql` takes, as `json` (`AnswerView`), `csv` or `parquet`."""
        ...

    def running_query(self, query_id: str) -> RunningView | None:
        """Return how far a query is, from another thread than the one that asks; None where nobody can tell."""
        ...

    def saved_queries(self) -> list[SavedView]:
        """Return the saved queries."""
        ...

    def save_query(self, name: str, kept: Mapping[str, Any]) -> SavedView:
        """Save a query, as `PUT /api/v1/sql/queries/{name}` takes it."""
        ...

    def forget_query(self, name: str) -> None:
        """Remove a saved query."""
        ...

    def cancel_query(self, query_id: str) -> None:
        """End a query that runs, or has ended."""
        ...

    def erase_user(self, asked: Mapping[str, str | None]) -> ErasureView:
        """Erase a user, as `POST /api/v1/erasures` takes it."""
        ...

    def list_erasures(self) -> list[ErasureView]:
        """Return every erasure."""
        ...

    def list_keys(self) -> list[KeyView]:
        """Return every key."""
        ...

    def create_key(self, role: str, application: str | None, label: str) -> NewKeyView:
        """Make a key."""
        ...

    def revoke_key(self, key_id: str) -> KeyView:
        """Revoke a key."""
        ...
