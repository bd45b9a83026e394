from __future__ import annotations

import pytest
from msgspec.structs import replace

from rollout.controller import Move
from rollout.following import FOLLOWS, followed
from rollout.progress import Progress
from rollout.stepping import Wanted
from tests.fakes.plans import AHEAD, AT, after, held, holding, said, standing, started, wanted

MOVED: dict[Move, tuple[str, float]] = {
    "promote": ("running", 10.0),
    "await_thaw": ("awaiting", 5.0),
    "ask": ("inconclusive", 5.0),
    "roll_back": ("rolled_back", 0.0),
}
VERDICTS = {"promote": "pass", "await_thaw": "pass", "ask": "inconclusive", "roll_back": "fail"}


@pytest.mark.parametrize("what", MOVED)
def test_each_move_changes_what_the_tick_saw_and_does_it_once(what: Move):
    state = started()
    before = held(state)
    counted = replace(before.progress, report=said(VERDICTS[what]))  # pyright: ignore[reportArgumentType] - a verdict
    ahead = replace(AHEAD, thaws_at=AT + 9) if what == "await_thaw" else AHEAD
    changed = after(state, followed(state, what, before, counted, wanted(state), ahead))

    assert (held(changed).progress.standing, held(changed).flag.percent) == MOVED[what]
    assert followed(changed, what, before, counted, wanted(changed), ahead) == []


def test_an_approval_is_waited_for_where_the_phase_ends():
    state = standing("running")
    step = held(state).progress.step
    assert step is not None
    at_end = replace(held(state).progress, step=replace(step, row=AHEAD.plan.rows[2], row_number=2))
    state = holding(at_end, held(state).flag)
    counted = replace(at_end, report=said("pass"))
    changed = after(state, followed(state, "await_approval", held(state), counted, wanted(state), AHEAD))

    assert held(changed).progress.awaits == "approval"


def test_a_start_that_is_due_starts_and_a_window_that_is_over_is_renewed():
    due = holding(Progress(standing="scheduled", start_at=AT))
    begun = after(due, followed(due, "start", held(due), held(due).progress, wanted(due), AHEAD))
    over = standing("at_ga", running_s=99.0, report=said("collecting"))
    renewed = after(over, followed(over, "renew", held(over), held(over).progress, wanted(over), AHEAD))

    assert held(begun).progress.standing == "running"
    assert held(renewed).flag.step == held(over).flag.step + 1


def test_nothing_is_moved_that_is_another_by_now():
    state = started()
    counted = replace(held(state).progress, report=said("fail"))
    forced = replace(held(state), flag=replace(held(state).flag, version=99))
    gone = Wanted(rollout="nothing", version=1, actor="turnout", at=AT)

    assert followed(state, "roll_back", forced, counted, wanted(state), AHEAD) == []
    assert followed(state, "roll_back", held(state), counted, gone, AHEAD) == []


def test_a_move_that_another_moment_forbids_is_not_made():
    state = started()
    counted = replace(held(state).progress, report=said("pass"))

    assert followed(state, "promote", held(state), counted, wanted(state), replace(AHEAD, thaws_at=AT + 9)) == []


def test_every_move_but_staying_has_its_row():
    assert set(FOLLOWS) == set(Move.__args__) - {"stay"}
