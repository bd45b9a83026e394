"""`--direct`: work on a stopped installation's files, with the same rules, the same audit and no console.

Definitions are those of the last snapshot, so that nothing but what was asked for changes; the next start reads the
configuration again.
"""

from __future__ import annotations

import getpass
import os
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from analytics.comparison import Comparison
from analytics.costs import CostReport
from analytics.failures import FailureReport
from analytics.lake.erasure import ERASURES, Erasures
from analytics.lake.layout import Lake
from analytics.lake.place import MissingPackageError, Place
from analytics.record import Arm
from analytics.satisfaction import Satisfaction
from analytics.traffic import TrafficReport
from gateway.cli import Abort
from gateway.cli.lakes import find_journal, find_lake
from gateway.cli.narrowing import Wanted
from gateway.console.control import Control
from gateway.console.gate_views import GateView, PlanView
from gateway.console.narrowing import Asked
from gateway.console.queries import COPIES, Queries, body, known_format
from gateway.console.reports import Reports
from gateway.console.running import Asker
from gateway.console.saved import Saved
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
from gateway.errors import ApiError, NotFoundError
from gateway.settings.compile import definitions_of
from gateway.settings.schema import Sql
from gateway.settings.secrets import SecretError, derived, load_master
from gateway.settings.snapshot import BadSnapshotError, unseal
from rollout.moves import Wish
from rollout.stores.ledger import LOCK_FILE, LedgerError
from rollout.stores.lock import holder
from rollout.stores.sqlite import open_ledger

_View = TypeVar("_View")


class DirectConsole:
    """A `Console` on files."""

    def __init__(self, control: Control, reports: Reports, queries: Queries, actor: str) -> None:
        self._control = control
        self._reports = reports
        self._others: Mapping[type, Callable[[Asked], Any]] = {
            CostReport: reports.cost,
            FailureReport: reports.errors,
            TrafficReport: reports.traffic,
        }
        self._queries = queries
        self._actor = actor

    def list_rollouts(self) -> list[RolloutView]:
        """Return the configured rollouts."""
        return self._control.list_rollouts(with_salt=True)

    def show(self, name: str) -> RolloutView:
        """Return one rollout."""
        return self._control.show(name, with_salt=True)

    def set_percent(self, name: str, percent: str, seen_version: int, reason: str) -> RolloutView:
        """Move a percent."""
        return self._control.set_percent(name, percent, seen_version, actor=self._actor, reason=reason)

    def tell(self, name: str, wish: Wish, seen_version: int, reason: str, start_at: str | None) -> RolloutView:
        """Tell a rollout's plan something."""
        self._control.steering.tell(name, wish, seen_version, actor=self._actor, reason=reason, start_at=start_at)
        return self.show(name)

    def gate(self, name: str, reports: int, *, now: bool = False) -> GateView:
        """Return what a rollout's gate said last; where nothing runs it says nothing else now."""
        del now
        return self._control.steering.gate(name, reports=reports)

    def plan(self, name: str, *, suggest: bool = False) -> PlanView:
        """Return a rollout's plan, and if wished a forecast and a likelier plan."""
        return self._control.steering.shown_plan(name, with_forecast=suggest)

    def force_user(self, name: str, user: str, arm: Arm, seen_version: int, reason: str) -> RolloutView:
        """Pin a user to an arm."""
        return self._control.force_user(name, user, arm, seen_version, actor=self._actor, reason=reason)

    def unforce_user(self, name: str, user: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for a user."""
        return self._control.force_user(name, user, None, seen_version, actor=self._actor, reason=reason)

    def unforce_hash(self, name: str, hash_digits: str, seen_version: int, reason: str) -> RolloutView:
        """Let the bucket decide again for the user behind a hash."""
        return self._control.unforce_hash(name, hash_digits, seen_version, actor=self._actor, reason=reason)

    def whois(self, user: str, name: str | None) -> list[WhoisView]:
        """Return which arm serves a user, and why."""
        return self._control.whois(user, name)

    def history(self, name: str | None, *, verify: bool) -> HistoryView:
        """Return a rollout's audit entries, or with None all, newest first."""
        return self._control.audit(verify=verify) if name is None else self._control.history(name, verify=verify)

    def compare(self, asked: Wanted) -> Comparison:
        """Return a rollout's head-to-head table."""
        return self._reports.compare(_asked(asked), as_treated="as_treated" in asked)

    def compare_by(self, asked: Wanted) -> list[Comparison]:
        """Return such a table for each part."""
        return self._reports.compare_by(str(asked["by"]), _asked(asked), as_treated="as_treated" in asked)

    def satisfaction(self, asked: Wanted) -> Satisfaction:
        """Return what users say of both arms' answers."""
        return self._reports.satisfaction(_asked(asked))

    def satisfaction_by(self, asked: Wanted) -> list[Satisfaction]:
        """Return the same for each part."""
        return self._reports.satisfaction_by(str(asked["by"]), _asked(asked))

    def report(self, shape: type[_View], asked: Wanted) -> _View:
        """Return another report."""
        return self._others[shape](_asked(asked))

    def ask(self, asked: Mapping[str, Any], form: str) -> bytes:
        """Return the answer to one SELECT."""
        asker = self._asker()
        question = self._queries.question(asked.get("query"), asked.get("saved"), asked["parameters"], asked["id"])
        with self._queries.registered(question.id, asker, question.query) as running:
            return body(self._queries.answer(question, known_format(form), asker, running), known_format(form))

    def running_query(self, query_id: str) -> RunningView | None:
        """Return how far a query is."""
        try:
            return self._queries.statements.show(query_id, self._asker())
        except NotFoundError:
            return None

    def saved_queries(self) -> list[SavedView]:
        """Return the saved queries."""
        return self._queries.saved.list_queries()

    def save_query(self, name: str, kept: Mapping[str, Any]) -> SavedView:
        """Save a query."""
        saved = Saved(by=self._actor, key="", saved_at=time.time_ns() // 1000, **kept)
        return self._queries.saved.save(name, saved, "ops")

    def forget_query(self, name: str) -> None:
        """Remove a saved query."""
        self._queries.saved.forget(name, "", "ops")

    def cancel_query(self, query_id: str) -> None:
        """Do nothing: it ended with the wait for it."""

    def erase_user(self, asked: Mapping[str, str | None]) -> ErasureView:
        """Erase a user; nothing but the journal can still bring rows of theirs."""
        return self._control.removals.erase(
            user=asked.get("user"),
            hash_digits=asked.get("user_hash"),
            application=asked.get("application"),
            actor=self._actor,
            reason=asked.get("reason") or "",
            at=time.time_ns() // 1000,
        )

    def list_erasures(self) -> list[ErasureView]:
        """Return every erasure."""
        return self._control.removals.list_erasures()

    def list_keys(self) -> list[KeyView]:
        """Return every key."""
        return self._control.keys.list_keys()

    def create_key(self, role: str, application: str | None, label: str) -> NewKeyView:
        """Make a key."""
        return self._control.keys.create_key(role, application, label, actor=self._actor)

    def revoke_key(self, key_id: str) -> KeyView:
        """Revoke a key."""
        return self._control.keys.revoke_key(key_id, actor=self._actor)

    def _asker(self) -> Asker:
        return Asker(key="", name=self._actor, role="ops")


@contextmanager
def open_directly(
    directory: Path, environment: Mapping[str, str], lake: str | None = None, *, only_reports: bool = False
) -> Generator[DirectConsole]:
    """Yield a console on a stopped installation's files; `lake` is where reports read, by default beside them.

    One for `only_reports` may be opened while the installation runs.

    Raises:
        Abort: the installation runs, or its files cannot be used; also for whatever the console refuses inside.
    """
    try:
        ledger = open_ledger(directory, clock=lambda: time.time_ns() // 1000, create=False)
    except LedgerError as error:
        raise Abort(str(error)) from error
    try:
        if ledger.read_only and not only_reports:
            message = f"a console runs on {directory} ({holder(directory / LOCK_FILE)}); leave --direct out"
            raise Abort(message)
        keys = derived(load_master(directory, environment, secrets.token_bytes, create=False))
        sealed = ledger.sealed()
        if sealed is None:
            message = f"{directory} has no snapshot yet; start `turnout serve` once"
            raise Abort(message)
        definitions = definitions_of(unseal(sealed, keys.snapshot))
        control = Control(ledger, definitions, keys, randomness=secrets.token_bytes)
        copies = f"{COPIES}-{os.getpid()}" if only_reports else COPIES
        place, journal = find_lake(lake, directory, environment), find_journal(lake, directory)
        look, missing = partial(_look, place, directory), partial(_missing, place)
        control.removals.begin(Erasures(directory / ERASURES), place.name, look, missing)
        with (
            closing(Reports(control, place, journal)) as reports,
            closing(Queries(Sql(), place, directory / copies, journal=journal, steps_back=False)) as queries,
        ):
            yield DirectConsole(control, reports, queries, f"{person()} (direct)")
    except (LedgerError, SecretError, BadSnapshotError, ApiError) as error:
        raise Abort(str(error)) from error
    finally:
        ledger.close()


def _asked(words: Wanted) -> Asked:
    """Return what a report is asked for, of the words that a query of the API has."""
    return msgspec.convert({name: words[name] for name in words if name != "as_treated"}, Asked, strict=False)


def _look(place: Place, directory: Path) -> None:
    # Imported here because DuckDB costs a tenth of a second, which no other command should pay.
    from analytics.lake.erase import erase  # noqa: PLC0415 - see above

    erase(place, directory, is_stopped=True)


def _missing(place: Place) -> str | None:
    """Return why no lake is there: an erasure of one that is not would stand for ever."""
    try:
        is_there = Lake(place.open_awaited()).is_there()
    except (OSError, MissingPackageError) as error:
        return str(error)
    return None if is_there else f"there is no lake in {place.url}; name it with --lake"


def person() -> str:
    """Return the name of the account that runs this command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"
