"""What a worker does about a try that failed: once more, at base, at the arm that keeps the answer, or nothing.

Law: a further try is made only while the caller is there and has nothing yet, and within the time that all tries share.
Further tries are paid from the budget of their rollout, or of their upstream where there is none, and cost nothing once
they brought an answer; a candidate whose circuit is open is not asked at all.
"""

from __future__ import annotations

from functools import partial

import msgspec

from gateway.errors import ApiError
from gateway.proxy.attempts import CIRCUIT_OPEN, Failure, refused
from gateway.proxy.breaker import Breaker
from gateway.proxy.budget import AGAIN, INSTEAD, Budget
from gateway.proxy.caller import Connection
from gateway.proxy.choice import Choice
from gateway.proxy.continuation import elsewhere
from gateway.proxy.entry import Entry
from gateway.proxy.snapshot import Route, View
from gateway.proxy.upstream import Answer, Call, Fault, RefusedFault, Upstream


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may still be tried with: `base` in the candidate's place, whose `breaker` is told of the try.

    `elsewhere` is the arm that may keep the answer `kept`, which the request goes on from. `is_passing`: the body
    passes while it comes, so that nobody else can be sent it.
    """

    base: Choice | None = None
    breaker: Breaker | None = None
    kept: str | None = None
    elsewhere: Choice | None = None
    is_passing: bool = False


NONE = Ways()
_NOT_FOUND = 404
"""Of a path that only the caller knows, it is the caller's mistake."""


class Recourse:
    """One worker's budgets, one for each route, and a breaker for each deployment that base may stand in for."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self._breakers: dict[str, Breaker] = {}

    def ways(self, choice: Choice, route: Route, view: View, kept: str | None, *, is_passing: bool = False) -> Ways:
        """Return what a request may be tried with after its choice, by the view that it was chosen by.

        One that goes on from an answer which only one of two model servers keeps is not for base to answer.
        """
        other = elsewhere(choice, route, view) if kept is not None else None
        if other is not None:
            return Ways(kept=kept, elsewhere=other)
        if choice.arm != "candidate" or not route.falls_back:
            return NONE
        base = msgspec.structs.replace(choice, deployment=route.base, served="base")
        return Ways(base=base, breaker=self._breaker(choice.deployment.circuit), is_passing=is_passing)

    def count(self, route: str, entry: Entry) -> None:
        """Count a request of a route, which pays for its further tries."""
        if (budget := self._budgets.get(route)) is None:
            budget = self._budgets[route] = Budget()
        entry.budget = budget
        budget.count(entry.now())

    def begin(self, choice: Choice, ways: Ways, entry: Entry) -> tuple[Choice, Ways]:
        """Count a request, and return whom to ask first: base at once, where the candidate's circuit is open."""
        now = entry.now()
        self.count(choice.flag.rollout if choice.flag is not None else choice.deployment.upstream, entry)
        if ways.base is None or ways.breaker is None or ways.breaker.lets_pass(now):
            return choice, ways
        entry.exchange.fallback_reason = CIRCUIT_OPEN
        return ways.base, NONE

    async def send(self, upstream: Upstream, call: Call, entry: Entry) -> Answer:
        """Send a call, and once more if it could not be connected; raises `Fault`."""
        try:
            return await upstream.send(call)
        except RefusedFault as fault:
            failure = Failure(outcome="upstream_error", error_class=fault.kind)
            if not (failure.may_be_repeated and _pay(AGAIN, entry)):
                raise
            left_s = entry.again(failure, call.total_s)
        headers = {**call.headers, **entry.traced()}
        try:
            return await upstream.send(msgspec.structs.replace(call, total_s=left_s, headers=headers))
        except Fault:
            _in_vain(entry)
            raise

    def answered(self, connection: Connection, status: int, ways: Ways, entry: Entry) -> Choice | None:
        """Return whom to ask instead of handing this answer on; of one that is handed on, the breaker is told."""
        if ways.breaker is None and entry.trying is None:
            return None
        if (failure := refused(status)) is None or not failure.may_go_to_base:
            connection.on_start = partial(_began, ways.breaker, entry)
            return None
        _in_vain(entry)
        if ways.breaker is None or (status == _NOT_FOUND and entry.exchange.is_unlisted):
            return None
        if not failure.opens_circuit:
            ways.breaker.answered(entry.now())
        return self._instead(connection, failure, ways, entry)

    def failed(self, connection: Connection, error: ApiError, ways: Ways, entry: Entry) -> Choice | None:
        """Return whom to ask instead of telling the caller of this error of the upstream's, if there is anybody."""
        status = entry.exchange.status or 0
        failure = Failure(outcome=error.outcome, error_class=error.error_class, status=status)
        if not connection.gone:
            _in_vain(entry)
        return self._instead(connection, failure, ways, entry)

    def leave(self, entry: Entry) -> None:
        """End what a request tries, when it is over."""
        if entry.trying is not None and entry.budget is not None:
            entry.budget.left(entry.trying)
            entry.trying = None

    def _instead(self, connection: Connection, failure: Failure, ways: Ways, entry: Entry) -> Choice | None:
        base, now = ways.base, entry.now()
        if connection.started:
            return None
        connection.on_start = None
        if base is None:
            return None
        if ways.breaker is not None and failure.opens_circuit:
            ways.breaker.failed(now)
        is_hopeless = ways.is_passing or connection.gone or not failure.may_go_to_base
        if is_hopeless or not entry.left_s(base.deployment.limits.total_timeout_s) or not _pay(INSTEAD, entry):
            return None
        entry.gave_up(failure)
        entry.exchange.fallback_reason = failure.outcome
        return base

    def _breaker(self, circuit: str) -> Breaker:
        if (breaker := self._breakers.get(circuit)) is None:
            breaker = self._breakers[circuit] = Breaker()
        return breaker


def _pay(kind: int, entry: Entry) -> bool:
    """Tell whether a further try may be made, and begin it."""
    if entry.budget is None or not entry.budget.take(kind, entry.now()):
        return False
    entry.trying = kind
    return True


def _in_vain(entry: Entry) -> None:
    """End a further try that came to nothing, if this was one."""
    if entry.trying is not None and entry.budget is not None:
        entry.budget.failed(entry.trying, entry.now())
        entry.trying = None


def _began(breaker: Breaker | None, entry: Entry) -> None:
    """Note that an answer is on its way to the caller, to the breaker and the budget that it matters to."""
    now = entry.now()
    if breaker is not None:
        breaker.answered(now)
    if entry.trying is not None and entry.budget is not None:
        entry.budget.answered(entry.trying, now)
        entry.trying = None
