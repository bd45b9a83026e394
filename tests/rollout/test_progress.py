from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from rollout.change import Held, set_percent
from rollout.flag import Flag
from rollout.progress import (
    Progress,
    Standing,
    due_look,
    left_behind,
    next_look_s,
    put_back,
    unknown_references,
)
from rollout.verdict import Watch
from tests.fakes.plans import AT, FLAG, SALES, after, held, holding, said, standing, started

RUNNING = held(started()).progress


def running(seconds: float, looks: int = 0) -> Progress:
    return replace(RUNNING, running_s=seconds, watch=Watch(looks=looks))


@pytest.mark.parametrize(
    ("seconds", "looks", "due"),
    [(0.0, 0, 0), (9.9, 0, 0), (10.0, 0, 1), (15.0, 1, 0), (20.0, 1, 2), (99.0, 1, 2), (99.0, 2, 0)],
)
def test_looks_are_due_at_d_and_at_2d_once_each(seconds: float, looks: int, due: int):
    assert due_look(running(seconds, looks)) == due


@pytest.mark.parametrize("standing", ["paused", "awaiting", "inconclusive", "by_hand", "at_ga"])
def test_no_look_is_due_but_while_the_plan_runs(standing: Standing):
    assert due_look(replace(running(99.0), standing=standing)) == 0
    assert next_look_s(replace(running(99.0), standing=standing)) is None


def test_the_next_look_comes_after_the_rest_of_the_dwell():
    assert next_look_s(running(4.0)) == 6.0
    assert next_look_s(running(12.0, 1)) == 8.0
    assert next_look_s(running(12.0)) == 0.0
    assert next_look_s(running(30.0, 2)) is None


def test_a_progress_without_a_step_has_no_dwell():
    assert Progress().dwell_s == 0.0
    assert unknown_references(Progress()) == ()
    assert Progress().verdict is None


def test_a_hold_and_a_pause_stop_the_clock():
    assert RUNNING.is_clock_running
    assert not replace(RUNNING, report=said("hold")).is_clock_running
    assert not replace(RUNNING, standing="paused").is_clock_running


def test_references_are_unknown_until_the_step_has_taken_its_own():
    assert unknown_references(RUNNING) == ("ttft",)
    assert unknown_references(replace(RUNNING, references={"ttft": 120.0})) == ()


def test_a_percent_set_by_hand_leaves_the_plan_and_is_judged_as_the_step_before():
    state = started()
    moved = after(state, set_percent(state, SALES, 7.0, held(state).flag.version), actor="ops key 1")

    progress = held(moved).progress
    assert progress.standing == "by_hand"
    assert progress.note == "ops key 1 set 7 % by hand"
    assert progress.step is not None
    assert RUNNING.step is not None
    assert (progress.step.step, progress.step.row.percent) == (held(moved).flag.step, 7.0)
    assert progress.step.margins == RUNNING.step.margins
    assert progress.digest == progress.step.digest != RUNNING.digest
    assert progress.running_s == 0.0


def test_the_audit_says_that_a_percent_set_by_hand_left_the_plan():
    state = started()
    (change,) = set_percent(state, SALES, 7.0, held(state).flag.version)

    assert (change.before["standing"], change.after["standing"]) == ("running", "by_hand")


def test_zero_set_by_hand_is_a_rollback():
    state = standing("awaiting", awaits="approval")
    moved = after(state, set_percent(state, SALES, 0.0, held(state).flag.version))

    assert held(moved).progress.standing == "rolled_back"
    assert held(moved).progress.awaits is None


def test_a_plan_that_was_never_started_stays_so_whatever_is_set_by_hand():
    state = holding()
    (change,) = set_percent(state, SALES, 7.0, 1)

    assert "standing" not in change.after
    assert held(after(state, [change])).progress == Progress()


def test_a_percent_set_by_hand_cancels_a_scheduled_start():
    state = holding(Progress(standing="scheduled", start_at=AT + 1))
    moved = after(state, set_percent(state, SALES, 7.0, 1))

    assert held(moved).progress.standing == "idle"
    assert held(moved).progress.start_at is None
    assert "cancelled the start" in held(moved).progress.note


def test_a_new_generation_knows_nothing_of_the_former_one():
    new = replace(FLAG, generation=2, version=9)

    assert left_behind(RUNNING, FLAG, new, actor="turnout", at=AT) == Progress()


def test_forcing_a_user_leaves_the_plan_as_it_is():
    forced = replace(FLAG, version=9, forced={"ab" * 16: "base"})

    assert left_behind(RUNNING, FLAG, forced, actor="ops", at=AT) is RUNNING


@pytest.mark.parametrize("standing", ["running", "paused", "awaiting", "inconclusive", "at_ga", "by_hand"])
def test_nothing_is_promoted_from_an_older_copy_of_the_ledger(standing: Standing):
    assert put_back(replace(RUNNING, standing=standing), AT).standing == "by_hand"


def test_an_older_copy_of_the_ledger_starts_nothing():
    assert put_back(Progress(standing="scheduled", start_at=AT), AT).standing == "idle"
    assert put_back(Progress(standing="rolled_back"), AT).standing == "rolled_back"


def test_a_ledger_from_before_there_were_plans_is_read_as_idle():
    old = b'{"flag": %s, "retired": false}' % msgspec.json.encode(Flag(**msgspec.structs.asdict(FLAG)))

    assert msgspec.json.decode(old, type=Held).progress == Progress()


def test_progress_is_the_same_after_it_was_written_and_read():
    written = replace(RUNNING, report=said("collecting"), watch=Watch(v_opt={"p50": 0.1 + 0.2}, deaf=("p99",)))

    assert msgspec.json.decode(msgspec.json.encode(written), type=Progress) == written


def test_the_plan_rules_the_percent_once_it_was_started_also_by_having_taken_it_back():
    ruling = {standing: Progress(standing=standing).is_planned for standing in ("idle", "by_hand", "running")}

    assert ruling == {"idle": False, "by_hand": False, "running": True}
    assert Progress(standing="rolled_back").is_planned
