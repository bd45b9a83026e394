"""What a tick's move changes, within the transaction that carries it out. Pure; each move has its row in a table.

The law: a tick moves what it saw and nothing else. Where flag or progress are others by now, or another move is due,
nothing changes, and the next tick sees for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rollout.change import Change, Held, State
from rollout.controller import Move, move
from rollout.moves import ask, promote, renew, roll_back, start, wait
from rollout.observing import alarm, freeze
from rollout.progress import Progress
from rollout.stepping import Ahead, Wanted

Follow = Callable[[State, Wanted, Ahead, Progress], list[Change]]

FOLLOWS: Mapping[Move, Follow] = {
    "start": lambda state, wanted, ahead, _: start(state, wanted, ahead),
    "promote": promote,
    "await_approval": lambda state, wanted, _, counted: wait(state, wanted, counted, "approval"),
    "await_thaw": lambda state, wanted, _, counted: wait(state, wanted, counted, "thaw"),
    "ask": lambda state, wanted, _, counted: ask(state, wanted, counted),
    "freeze": lambda state, wanted, _, counted: freeze(state, wanted, counted),
    "alarm": lambda state, wanted, _, counted: alarm(state, wanted, counted),
    "renew": lambda state, wanted, ahead, _: renew(state, wanted, ahead),
    "roll_back": lambda state, wanted, _, counted: roll_back(state, wanted, report=counted.report, progress=counted),
}


def followed(state: State, what: Move, before: Held, counted: Progress, wanted: Wanted, ahead: Ahead) -> list[Change]:
    """Return what a move changes; `before` is what the tick saw, `counted` what it made of it."""
    present = state.rollouts.get(wanted.rollout)
    if present is None or (present.flag, present.progress) != (before.flag, before.progress):
        return []
    if move(counted, ahead.plan, at=wanted.at, thaws_at=ahead.thaws_at) != what:
        return []
    return FOLLOWS[what](state, wanted, ahead, counted)
