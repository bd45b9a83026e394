from __future__ import annotations

from rollout.audit import canonical
from rollout.phase import StepStart, freeze_step
from rollout.stepping import entered, evidence, moved_on, over
from tests.fakes.plans import AHEAD, AT, FLAG, SHORT_PLAN, held, holding, said, standing, wanted


def test_a_row_that_is_entered_is_frozen_as_the_plan_has_it_and_told_with_its_hash():
    state = holding()
    change = entered("start", held(state), 1, AHEAD, wanted(state), note="go")
    began = StepStart(
        rollout=FLAG.rollout, generation=1, step=1, started_at=AT, references=AHEAD.references, rating="thumb"
    )

    assert change.progress is not None
    assert change.progress.step == freeze_step(SHORT_PLAN, 1, began)
    assert change.after["digest"] == freeze_step(SHORT_PLAN, 1, began).digest
    assert canonical(change.after)


def test_a_new_step_keeps_the_rest_of_the_flag():
    assert moved_on(FLAG, percent=3.0).percent == 3.0
    assert (moved_on(FLAG).step, moved_on(FLAG).version, moved_on(FLAG).salt) == (1, FLAG.version, FLAG.salt)


def test_nothing_is_waited_for_once_it_is_over():
    ended = over(held(standing("awaiting", awaits="approval", passed=said("pass"))).progress, "rolled_back", AT, "why")

    assert (ended.standing, ended.note, ended.awaits, ended.passed) == ("rolled_back", "why", None, None)


def test_evidence_is_what_the_audit_can_hash():
    told = evidence(said("fail", running_s=float("inf"), holds=("a", "b")))

    assert (told["running_s"], told["holds"]) == (None, ["a", "b"])
    assert canonical(told)
