"""What an operator tells a rollout's plan, and what its gate says: for the API's handlers and for the command alike.

Every method may raise an `ApiError`. References are asked for before the ledger is, so that no change waits for a lake;
where they cannot be had, the step takes its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

import anyio
from msgspec.structs import replace

from analytics.prospect import plan_chances
from analytics.references import References
from analytics.suggestion import suggest
from gateway.console.errors import answered
from gateway.console.gate_views import GateView, PlanView, gate_view
from gateway.console.looking import now
from gateway.console.measuring import UNKNOWN, EvidenceLostError, Measuring, Unmeasured
from gateway.console.publication import Publication
from gateway.console.words import plain_words
from gateway.errors import BadRequestError
from gateway.settings.plans import plan_of
from rollout.change import Change, State, live
from rollout.moves import Wish, advance, pause, restart, resume, roll_back, start
from rollout.phase import Plan
from rollout.plan import DEFAULT_PLAN
from rollout.prospects import plan_rows, tolerances
from rollout.schedule import BadTimeError, frozen_until, parse_moment
from rollout.stepping import Ahead, Wanted
from rollout.stores.ledger import Edit, Ledger

Resolve = Callable[[State, str], str]
"""From the state and what a caller named to a rollout's name; it may raise an `ApiError`."""

Refuse = Callable[[str], None]
"""Raises an `ApiError` where something else than the plan rules a rollout's percent."""

NEED_A_PLAN: frozenset[Wish] = frozenset({"start", "advance", "restart", "resume"})
TOO_SOON = "a forecast needs three whole days of base with every check that the plan asks for"
_log = logging.getLogger("turnout.console")


class Steering:
    """The plans of one installation's rollouts; may be called from any thread.

    `measuring` gives references to steps that begin. `turns` is for handlers of what reads raw rows: who takes one
    first never waits inside a thread.
    """

    def __init__(
        self, publication: Publication, ledger: Ledger, resolve: Resolve, refuse: Refuse = lambda _: None
    ) -> None:
        self._publication, self._ledger, self._resolve, self._refuse = publication, ledger, resolve, refuse
        self.measuring: Measuring = Unmeasured()
        self.turns = anyio.CapacityLimiter(1)

    def plan(self, rollout: str) -> Plan:
        """Return the plan in force; one that the configuration has no more has the default one."""
        definition = self._publication.definitions.rollouts.get(rollout)
        return plan_of(definition) if definition is not None else DEFAULT_PLAN

    def tell(
        self, name: str, wish: Wish, seen_version: int, *, actor: str, reason: str = "", start_at: str | None = None
    ) -> None:
        """Tell a rollout to start, advance and so on, if it still is at the version that was seen.

        `start_at`: when to start, as `2026-12-01T08:00:00Z`; an omitted one is the plan's, or now.
        """
        words = plain_words(reason, "reason")
        later = _moment(start_at)
        with answered():
            state = self._publication.state()
        rollout = self._resolve(state, name)
        with answered():
            generation = live(state, rollout).flag.generation
        if wish in NEED_A_PLAN:
            self._refuse(rollout)
        references = self.references(rollout, generation) if wish in NEED_A_PLAN else UNKNOWN

        def edit(state: State, at: int) -> Sequence[Change]:
            wanted = Wanted(rollout=rollout, version=seen_version, actor=actor, reason=words, at=at)
            ahead = self.ahead(rollout, references, at)
            if later is not None and later <= at:
                message = f"{start_at!r} is past; name a later moment, or leave it out to start now"
                raise BadRequestError(message, param="at")
            if wish == "start":
                return start(state, wanted, ahead, start_at=later if later is not None else ahead.plan.start_at)
            if wish == "pause":
                return pause(state, wanted)
            if wish == "rollback":
                return roll_back(state, wanted)
            return {"advance": advance, "restart": restart, "resume": resume}[wish](state, wanted, ahead)

        self._publication.change(edit, actor=actor, reason=words)

    def change(self, edit: Edit, *, actor: str, reason: str) -> None:
        """Apply the controller's own edit and publish what it leads to."""
        self._publication.change(edit, actor=actor, reason=reason)

    def ahead(self, rollout: str, references: References, at: int) -> Ahead:
        """Return what a step that begins now is made of."""
        plan = self.plan(rollout)
        return Ahead(
            plan=plan,
            references=references.latencies,
            rating=references.rating,
            thaws_at=frozen_until(plan.freezes, at),
        )

    def references(self, rollout: str, generation: int, at: int | None = None) -> References:
        """Return what a step that begins now is measured by; where that cannot be told, the step takes its own."""
        try:
            return self.measuring.references(rollout, generation, at if at is not None else time.time_ns() // 1000)
        except EvidenceLostError as error:
            _log.warning("a step takes its own references", extra={"rollout": rollout, "reason": str(error)})
            return UNKNOWN

    def gate(self, name: str, *, reports: int = 0, is_asked: bool = False) -> GateView:
        """Return where a rollout stands in its plan and what its gate says, with so many of its reports.

        `is_asked`: what it says now, with the ratios of latency from raw rows, where that is more than its last word.
        """
        with answered():
            state = self._publication.state()
        rollout = self._resolve(state, name)
        with answered():
            held = live(state, rollout)
            kept = self._ledger.reports(rollout, limit=reports) if reports else []
        plan, at = self.plan(rollout), time.time_ns() // 1000
        if is_asked and (report := now(self.measuring, held.progress, at)) is not None:
            held = replace(held, progress=replace(held.progress, report=report))
        return gate_view(held, plan, kept, at=at, thaws_at=frozen_until(plan.freezes, at))

    def shown_plan(self, name: str, *, with_forecast: bool = False) -> PlanView:
        """Return a rollout's plan as it is in force, and if wished a forecast and a plan that is likelier."""
        with answered():
            state = self._publication.state()
        rollout = self._resolve(state, name)
        plan = self.plan(rollout)
        if not with_forecast:
            return PlanView(rollout=rollout, plan=plan)
        with answered():
            generation = live(state, rollout).flag.generation
        try:
            weeks = self.measuring.weeks(rollout, generation, time.time_ns() // 1000)
        except EvidenceLostError as error:
            return PlanView(rollout=rollout, plan=plan, unknown=str(error))
        rows, tolerated = plan_rows(plan), tolerances(plan)
        chances = plan_chances(rows, weeks, tolerated)
        if chances is None:
            return PlanView(rollout=rollout, plan=plan, unknown=TOO_SOON)
        suggestion = suggest(rows, weeks, tolerated)
        return PlanView(rollout=rollout, plan=plan, chance=math.prod(chances), chances=chances, suggestion=suggestion)


def _moment(text: str | None) -> int | None:
    try:
        return None if text is None else parse_moment(text)
    except BadTimeError as error:
        message = f"{text!r} {error}"
        raise BadRequestError(message, param="at") from error
