from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from rollout.change import Change, ChangeError, ConflictError, set_percent
from rollout.moves import (
    WISHES,
    WORDS,
    Wish,
    advance,
    ask,
    pause,
    promote,
    renew,
    restart,
    resume,
    roll_back,
    start,
    wait,
)
from rollout.plan import CERTIFICATE
from rollout.progress import Awaited, Progress, Standing
from rollout.schedule import FreezeWindow
from rollout.verdict import Verdict, Watch
from tests.fakes.plans import (
    AHEAD,
    AT,
    SALES,
    SHORT_PLAN,
    after,
    held,
    holding,
    said,
    standing,
    started,
    step_of,
    wanted,
)

FROZEN = replace(AHEAD, thaws_at=AT + 3_600_000_000)


def test_a_start_begins_the_first_row_with_an_empty_window_and_tells_the_hash():
    state = holding()
    (change,) = start(state, wanted(state), AHEAD)
    now = held(after(state, [change]))

    assert (now.flag.percent, now.flag.phase, now.flag.step, now.flag.version) == (5.0, "canary", 1, 2)
    assert (now.progress.standing, now.progress.running_s, now.progress.watch) == ("running", 0.0, Watch())
    assert now.progress.step is not None
    assert now.progress.step.references == {"p50": 200.0, "p99": 900.0, "ttft": None}
    assert change.after["digest"] == now.progress.digest == now.progress.step.digest
    assert change.after["frozen"]["row"]["percent"] == 5.0
    assert (change.action, change.before["standing"], change.after["standing"]) == ("start", "idle", "running")


def test_a_start_at_a_later_time_is_kept_and_can_be_put_forward():
    state = holding()
    later = after(state, start(state, wanted(state), AHEAD, start_at=AT + 60_000_000))

    assert (held(later).progress.standing, held(later).progress.start_at) == ("scheduled", AT + 60_000_000)
    assert held(later).flag.percent == 0.0
    assert held(after(later, start(later, wanted(later), AHEAD, start_at=AT))).progress.standing == "running"


def test_a_plan_without_a_percent_is_not_started():
    state = holding()
    with pytest.raises(ChangeError, match="no row with a percent"):
        start(state, wanted(state), replace(AHEAD, plan=replace(SHORT_PLAN, rows=(CERTIFICATE,))))


def test_without_a_certificate_a_start_is_refused_noted_or_fine_as_the_plan_wants_it():
    state = holding()
    required, off = (replace(AHEAD, plan=replace(SHORT_PLAN, certified=one)) for one in ("required", "off"))

    with pytest.raises(ChangeError, match="The rollout does not start"):
        start(state, wanted(state), required)
    (change,) = start(state, wanted(state), AHEAD)
    assert "Started without a passed certificate" in held(after(state, [change])).progress.note
    assert change.after["evidence"]["gate"] == "certificate"
    banner = held(after(state, [change])).progress.banner
    assert banner == change.after["banner"]
    assert banner.startswith("Started without a passed certificate")
    (unasked,) = start(state, wanted(state), off)
    assert held(after(state, [unasked])).progress.note == "started by ops"
    assert unasked.report is None
    assert not {"evidence", "banner"} & set(unasked.after)
    assert not held(after(state, [unasked])).progress.banner


def test_the_banner_of_a_start_stays_until_the_rollout_is_taken_back():
    running = started()
    moved = after(running, advance(running, wanted(running, reason="r"), AHEAD))
    by_hand = after(moved, set_percent(moved, SALES, 3.0, held(moved).flag.version))

    assert held(running).progress.banner
    assert held(moved).progress.banner == held(by_hand).progress.banner == held(running).progress.banner
    assert not held(after(moved, roll_back(moved, wanted(moved)))).progress.banner
    assert not held(after(moved, set_percent(moved, SALES, 0.0, held(moved).flag.version))).progress.banner


def test_a_start_for_a_time_within_a_freeze_window_says_when_it_really_starts():
    state = holding()
    window = FreezeWindow(start=AT, end=AT + 3_600_000_000)
    frozen = replace(FROZEN, plan=replace(SHORT_PLAN, freezes=(window,)))
    for start_at, is_frozen in ((AT + 60_000_000, True), (AT + 3_600_000_000, False)):
        note = held(after(state, start(state, wanted(state), frozen, start_at=start_at))).progress.note

        assert ("a freeze window is open then, so it starts at 2027-01-15 09:00:00Z" in note) == is_frozen


def test_nothing_starts_or_advances_in_a_freeze_window_and_everything_goes_back():
    idle, waiting = holding(), standing("awaiting", awaits="approval", passed=said("pass"))
    with pytest.raises(ChangeError, match="a freeze window is open until 2027-01-15 09:00:00Z"):
        start(idle, wanted(idle), FROZEN)
    with pytest.raises(ChangeError, match="a freeze window"):
        advance(waiting, wanted(waiting, reason="now"), FROZEN)

    assert held(after(waiting, roll_back(waiting, wanted(waiting)))).flag.percent == 0.0


def test_whoever_saw_another_version_changes_nothing():
    state = started()
    stale = wanted(state, version=1, reason="r")
    for told in (
        lambda: start(state, stale, AHEAD),
        lambda: advance(state, stale, AHEAD),
        lambda: restart(state, stale, AHEAD),
        lambda: pause(state, stale),
        lambda: resume(state, stale, AHEAD),
        lambda: roll_back(state, stale),
    ):
        with pytest.raises(ConflictError, match="you saw version 1"):
            told()


@pytest.mark.parametrize("where", sorted(WORDS))
def test_what_cannot_be_told_now_is_refused_in_words(where: Standing):
    state = standing(where, resumes="running" if where == "paused" else None)
    tellings: dict[Wish, Callable[[], list[Change]]] = {
        "start": lambda: start(state, wanted(state), AHEAD),
        "advance": lambda: advance(state, wanted(state, reason="r"), AHEAD),
        "restart": lambda: restart(state, wanted(state, reason="r"), AHEAD),
        "pause": lambda: pause(state, wanted(state)),
        "resume": lambda: resume(state, wanted(state), AHEAD),
    }
    for wish, told in tellings.items():
        if where in WISHES[wish]:
            assert told()[0].flag is not None
        else:
            with pytest.raises(ChangeError, match=f"it cannot be told to {wish} now, but to "):
                told()


def test_an_approval_begins_the_next_row_and_carries_the_evidence_that_passed():
    passed = said("pass", look=1)
    state = standing("awaiting", awaits="approval", passed=passed, report=said("collecting"))
    (change,) = advance(state, wanted(state), AHEAD)

    now = held(after(state, [change]))
    assert (change.action, now.flag.percent, now.progress.standing) == ("approve", 10.0, "running")
    assert change.after["evidence"]["verdict"] == "pass"
    assert now.progress.overrides == ()


@pytest.mark.parametrize("verdict", [None, "collecting", "hold", "inconclusive"])
def test_advancing_without_a_pass_needs_a_reason_and_stays_visible(verdict: Verdict | None):
    report = said(verdict) if verdict is not None else None
    state = standing("running", report=report)
    with pytest.raises(ChangeError, match="needs a reason"):
        advance(state, wanted(state, reason="  "), AHEAD)

    (change,) = advance(state, wanted(state, reason="the board wants it", actor="ann"), AHEAD)
    now = held(after(state, [change])).progress
    (override,) = now.overrides
    assert change.action == "override"
    assert ("evidence" in change.after) == (verdict is not None)
    assert (override.step, override.verdict, override.actor, override.reason) == (
        1,
        verdict,
        "ann",
        "the board wants it",
    )

    state = after(state, [change])
    assert held(after(state, roll_back(state, wanted(state)))).progress.overrides == (override,)


def test_an_approval_while_the_gate_holds_is_an_override():
    state = standing("awaiting", awaits="approval", passed=said("pass"), report=said("hold"))

    with pytest.raises(ChangeError, match="has passed and waits for an approval, but the gate holds"):
        advance(state, wanted(state), AHEAD)
    assert advance(state, wanted(state, reason="r"), AHEAD)[0].action == "override"


def test_a_refused_approval_says_what_is_in_its_way():
    frozen = standing("awaiting", awaits="thaw", passed=said("pass"), report=said("hold"))
    paused = standing("paused", resumes="awaiting", awaits="approval", passed=said("pass"), report=said("collecting"))

    with pytest.raises(ChangeError, match="has passed and waits for a freeze window's end, but the gate holds"):
        advance(frozen, wanted(frozen), AHEAD)
    with pytest.raises(ChangeError, match="has passed, but the rollout is paused: resume it and then advance"):
        advance(paused, wanted(paused), AHEAD)


def test_nothing_comes_after_the_last_row():
    state = standing("by_hand")
    progress = held(state).progress
    assert progress.step is not None
    last = replace(progress, step=replace(progress.step, row=SHORT_PLAN.rows[-1], row_number=4))
    state = holding(last, held(state).flag)

    with pytest.raises(ChangeError, match="last row"):
        advance(state, wanted(state, reason="r"), AHEAD)


def test_the_ga_row_stands_at_ga():
    state = standing("running")
    step = replace(step_of(started()), row=SHORT_PLAN.rows[3], row_number=3)
    state = holding(replace(held(state).progress, step=step), held(state).flag)

    assert held(after(state, advance(state, wanted(state, reason="r"), AHEAD))).progress.standing == "at_ga"


def test_a_restarted_step_is_a_new_one_by_the_plan_as_it_is_now_and_the_audit_says_what_it_costs():
    state = standing("inconclusive", running_s=20.0, watch=Watch(looks=2), report=said("inconclusive"))
    with pytest.raises(ChangeError, match="a new share of false alarms"):
        restart(state, wanted(state), AHEAD)

    (change,) = restart(state, wanted(state, reason="more traffic now"), AHEAD)
    now = held(after(state, [change]))
    assert (now.flag.step, now.flag.percent, now.progress.standing) == (2, 5.0, "running")
    assert (now.progress.running_s, now.progress.watch, now.progress.report) == (0.0, Watch(), None)
    assert change.after["new_alpha"] is True
    assert change.after["evidence"]["verdict"] == "inconclusive"


def test_a_row_that_the_plan_has_no_more_is_not_restarted():
    state = started()
    edited = replace(SHORT_PLAN, rows=SHORT_PLAN.rows[:1] + SHORT_PLAN.rows[2:])

    with pytest.raises(ChangeError, match="has no row canary with 5 % any more"):
        restart(state, wanted(state, reason="r"), replace(AHEAD, plan=edited))


def test_a_step_set_by_hand_is_restarted_as_one_set_by_hand():
    state = started()
    state = after(state, set_percent(state, SALES, 7.0, held(state).flag.version))
    now = held(after(state, restart(state, wanted(state, reason="r"), AHEAD)))

    assert (now.progress.standing, now.flag.percent, now.flag.step) == ("by_hand", 7.0, 3)


def test_a_pause_keeps_everything_and_resuming_goes_on_from_there():
    state = standing("awaiting", awaits="approval", passed=said("pass"), running_s=10.0)
    paused = after(state, pause(state, wanted(state)))
    resumed = after(paused, resume(paused, wanted(paused), AHEAD))

    assert held(paused).progress.standing == "paused"
    assert held(paused).flag.version == held(state).flag.version + 1
    gone_on = held(resumed).progress
    assert (gone_on.standing, gone_on.awaits, gone_on.running_s) == ("awaiting", "approval", 10.0)
    assert held(resumed).flag.step == held(state).flag.step


def test_the_plan_is_taken_up_at_the_percent_that_was_set_by_hand_if_a_row_has_it():
    state = started()
    at_fifty = after(state, set_percent(state, SALES, 50.0, held(state).flag.version))
    now = held(after(at_fifty, resume(at_fifty, wanted(at_fifty), AHEAD)))

    assert (now.progress.standing, now.flag.phase, now.flag.step) == ("running", "beta", 3)
    at_seven = after(state, set_percent(state, SALES, 7.0, held(state).flag.version))
    with pytest.raises(ChangeError, match="no row of the plan has 7 %"):
        resume(at_seven, wanted(at_seven), AHEAD)


def test_a_rollback_gives_the_candidate_nobody_and_a_second_one_changes_nothing():
    state = started()
    (change,) = roll_back(state, wanted(state))
    gone = after(state, [change])

    assert (held(gone).flag.percent, held(gone).flag.phase, held(gone).flag.step) == (0.0, None, 2)
    assert (held(gone).progress.standing, held(gone).progress.note) == ("rolled_back", "rolled back by ops")
    assert roll_back(gone, wanted(gone)) == []


def test_a_rollback_by_the_gate_keeps_what_the_tick_counted_and_its_evidence():
    state = started()
    report = said("fail", is_fast_kill=True)
    counted = replace(held(state).progress, report=report, running_s=3.0)
    (change,) = roll_back(state, wanted(state), report=report, progress=counted)

    now = held(after(state, [change])).progress
    assert (now.running_s, now.verdict, now.note) == (3.0, "fail", "It says fail.")
    assert change.report == report
    assert change.after["evidence"]["is_fast_kill"] is True


def test_evidence_with_numbers_that_json_does_not_have_is_no_reason_not_to_roll_back():
    state = started()
    figures = {"odds": float("inf"), "z": float("nan"), "users": 3}
    report = said("fail", checks=({"check": "errors", "verdict": "fail", "words": "w", "figures": figures},))
    (change,) = roll_back(state, wanted(state), report=report)

    assert change.after["evidence"]["checks"][0]["figures"] == {"odds": None, "z": None, "users": 3}


def test_a_rollback_ends_a_scheduled_start():
    state = holding()
    later = after(state, start(state, wanted(state), AHEAD, start_at=AT + 60_000_000))

    ended = held(after(later, roll_back(later, wanted(later)))).progress
    assert (ended.standing, ended.start_at) == ("rolled_back", None)


def test_a_row_that_passed_is_followed_by_the_next_one_with_its_evidence():
    state = started()
    passed = replace(held(state).progress, report=said("pass", look=1))
    (change,) = promote(state, wanted(state), AHEAD, passed)

    assert (change.action, held(after(state, [change])).flag.percent) == ("advance", 10.0)
    assert change.after["evidence"]["look"] == 1
    assert held(after(state, [change])).progress.note == "It says pass."


def test_without_a_report_or_a_row_there_is_little_to_tell():
    state = standing("running")
    assert "evidence" not in promote(state, wanted(state), AHEAD, held(state).progress)[0].after
    assert ask(state, wanted(state), held(state).progress)[0].progress == replace(
        held(state).progress, standing="inconclusive", since=AT, note=""
    )
    bare = replace(AHEAD, plan=replace(SHORT_PLAN, rows=SHORT_PLAN.rows[:2]))
    assert promote(state, wanted(state), bare, held(state).progress) == []
    with pytest.raises(ChangeError, match="has not started its plan"):
        promote(holding(), wanted(holding()), AHEAD, Progress())


@pytest.mark.parametrize(
    ("awaits", "words"), [("approval", "a person's approval"), ("thaw", "a freeze window is open")]
)
def test_what_passed_may_wait_with_its_evidence(awaits: Awaited, words: str):
    state = started()
    counted = replace(held(state).progress, report=said("pass", look=1))
    (change,) = wait(state, wanted(state), counted, awaits)

    now = held(after(state, [change])).progress
    assert (now.standing, now.awaits, now.passed) == ("awaiting", awaits, said("pass", look=1))
    assert words in now.note


def test_a_person_is_asked_when_the_last_look_proved_nothing():
    state = started()
    counted = replace(held(state).progress, report=said("inconclusive", look=2))
    (change,) = ask(state, wanted(state), counted)

    assert held(after(state, [change])).progress.standing == "inconclusive"
    assert change.after["evidence"]["look"] == 2


def test_a_window_that_is_over_is_followed_by_the_next():
    state = standing("at_ga")
    step = replace(step_of(state), row=SHORT_PLAN.rows[4], row_number=4)
    state = holding(replace(held(state).progress, step=step), replace(held(state).flag, percent=98.0))
    now = held(after(state, renew(state, wanted(state), AHEAD)))

    assert (now.progress.standing, now.flag.step, now.flag.percent) == ("at_ga", 2, 98.0)
