from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from rollout.announcing import WHATS, notice_of
from rollout.audit import Entry
from rollout.moves import advance, ask, pause, resume, roll_back, start, wait
from rollout.progress import Progress
from tests.fakes.plans import AHEAD, AT, SALES, held, holding, said, standing, started, wanted


def entry(action: str, after: Any, *, reason: str = "", rollout: str | None = SALES) -> Entry:
    return Entry(
        number=7,
        at=AT,
        actor="ann",
        action=action,
        rollout=rollout,
        before={},
        after=after,
        reason=reason,
        previous="",
    )


def test_a_rollback_by_the_gate_is_told_with_its_evidence():
    state = started()
    (change,) = roll_back(state, wanted(state), report=said("fail"), progress=held(state).progress)
    notice = notice_of(replace(entry(change.action, change.after), before=change.before))

    assert notice is not None
    assert (notice.what, notice.verdict, notice.percent, notice.generation, notice.step) == (
        "rolled_back",
        "fail",
        0.0,
        1,
        1,
    )
    assert notice.phase == "canary"
    assert notice.words == f"{SALES}: rolled back from canary 5 % to 0 %, by ann. It says fail."
    assert notice.mark == "7"


def test_every_move_that_people_want_to_know_is_told():
    idle, running = holding(), started()
    passed = standing("awaiting", awaits="approval", passed=said("pass"))
    changes = [
        *start(idle, wanted(idle), AHEAD),
        *advance(passed, wanted(passed), AHEAD),
        *advance(running, wanted(running, reason="r"), AHEAD),
        *wait(running, wanted(running), replace(held(running).progress, report=said("pass")), "approval"),
        *ask(running, wanted(running), held(running).progress),
        *pause(running, wanted(running)),
    ]
    told = [notice_of(entry(change.action, change.after, reason="because")) for change in changes]

    assert [notice.what for notice in told if notice is not None] == [
        "started",
        "advanced",
        "overridden",
        "awaiting_approval",
        "inconclusive",
        "paused",
    ]
    assert told[0] is not None
    assert told[0].words.startswith(f"{SALES}: its plan was started: canary 5 %, by ann. certificate: inconclusive.")
    assert told[5] is not None
    assert told[5].words == f"{SALES}: paused at canary 5 %, by ann. because"


def test_going_on_is_told_wherever_it_leads():
    paused = standing("paused", resumes="awaiting")
    (change,) = resume(paused, wanted(paused), AHEAD)

    notice = notice_of(entry("resume", change.after))
    assert notice is not None
    assert notice.what == "resumed"


@pytest.mark.parametrize(
    ("action", "after", "rollout"),
    [
        ("schedule", {"standing": "scheduled", "percent": 0.0}, SALES),
        ("set_percent", {"percent": 3.0, "standing": "by_hand"}, SALES),
        ("set_percent", {"percent": 3.0}, SALES),
        ("create_key", None, None),
        ("start", {"standing": "running", "percent": 5.0}, None),
        ("force_user", "what somebody wrote there", SALES),
    ],
)
def test_the_rest_is_nobodys_news(action: str, after: Any, rollout: str | None):
    assert notice_of(entry(action, after, rollout=rollout)) is None


def test_zero_set_by_hand_while_the_plan_ran_is_told_as_a_rollback():
    notice = notice_of(entry("set_percent", {"percent": 0.0, "standing": "rolled_back", "step": 3}))

    assert notice is not None
    assert (notice.what, notice.phase, notice.verdict, notice.words) == (
        "rolled_back",
        None,
        None,
        f"{SALES}: rolled back to 0 %, by ann",
    )


def test_what_is_told_is_of_moves_that_there_are():
    assert {standing for _, standing in WHATS} <= {
        "running",
        "at_ga",
        "awaiting",
        "inconclusive",
        "paused",
        "rolled_back",
    }
    assert Progress().standing == "idle"
