"""The order of verdicts, whatever the checks say."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.checks import Tick
from rollout.conclusion import conclude, seen_by_candidate
from rollout.durations import DAY_S
from rollout.holds import Hold
from rollout.verdict import CheckReport, Look, Verdict
from tests.fakes.evidence import EQUAL, GA, INNER, PROOF, SOUND, evidence

HOLD = Hold(condition="stale", words="late")
OTHER = Hold(condition="mixed", words="mixed")
KILLER = CheckReport(check="fast kill", verdict="fail", words="3 users")
LOOKS: st.SearchStrategy[Look] = st.sampled_from((0, 1, 2))
VERDICTS: st.SearchStrategy[Verdict] = st.sampled_from(("fail", "pass", "collecting", "inconclusive"))


def tick(look: Look, looks: int) -> Tick:
    return Tick(running_s=5 * DAY_S, look=look, looks=max(look, looks), dwell_s=5 * DAY_S)


@settings(deadline=None, max_examples=100)
@given(
    verdicts=st.lists(VERDICTS, max_size=4),
    look=LOOKS,
    looks=st.integers(0, 2),
    is_held=st.booleans(),
    is_killed=st.booleans(),
    is_inner=st.booleans(),
    fallback=st.sampled_from((0.0, 0.01, 0.02)),
)
def test_the_gates_verdict_follows_the_order(
    *, verdicts: list[Verdict], look: Look, looks: int, is_held: bool, is_killed: bool, is_inner: bool, fallback: float
):
    checks = [CheckReport(check=f"c{at}", verdict=verdict, words="w") for at, verdict in enumerate(verdicts)]
    found = conclude(
        INNER if is_inner else PROOF,
        evidence(fallback_share=fallback),
        tick(look, looks),
        holding=(HOLD,) if is_held else (),
        checks=checks,
        killer=KILLER if is_killed else None,
    )

    passes = look and checks and fallback <= 0.01 and (is_inner or set(verdicts) == {"pass"})
    late = "inconclusive" if max(look, looks) == 2 else "collecting"
    open_verdict = "fail" if "fail" in verdicts else "pass" if passes else late
    assert found.verdict == ("fail" if is_killed else "hold" if is_held else open_verdict)
    assert found.is_fast_kill == is_killed
    assert found.is_safety_only == (found.verdict == "pass" and is_inner)
    assert found.summary


def test_a_hold_names_its_first_reason_and_how_many_more_there_are():
    found = conclude(PROOF, EQUAL, tick(1, 0), holding=(HOLD, OTHER), checks=(), killer=None)
    one = conclude(GA, EQUAL, tick(0, 0), holding=(HOLD,), checks=(), killer=None)

    assert found.summary == "Hold: late, and 1 other reason to wait"
    assert one.summary == "Hold: late"


def test_after_a_last_look_that_passed_nothing_a_person_decides():
    proven = CheckReport(check="errors", verdict="pass", words="w")
    found = conclude(PROOF, EQUAL, tick(0, 2), holding=(), checks=(proven,), killer=None)

    assert found.summary == "Inconclusive after 5 d: the last look did not pass. A person decides"


def test_the_candidate_is_counted_by_rows_where_errors_are_not_measured():
    assert seen_by_candidate(EQUAL) == (1000, 20_000)
    assert seen_by_candidate(replace(EQUAL, checks={})) == (SOUND.candidate_users, SOUND.candidate_rows)
