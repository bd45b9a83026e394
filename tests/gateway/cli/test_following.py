from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from gateway.cli.following import Following, is_as_declared, is_over, plain
from gateway.console.gate_views import GateView
from gateway.simulate.stories import STORIES
from rollout.phase import Phase
from rollout.progress import Standing
from tests.fakes.gate_views import report, view


@dataclass
class Told:
    following: Following = field(default_factory=Following)

    def __call__(self, seen: GateView, elapsed_s: float) -> str:
        return "\n".join(self.following.look(seen, elapsed_s))


def test_a_step_that_begins_is_told_once_with_its_looks():
    told, seen = Told(), view("running", 30.0)

    assert "  0:02  The controller begins canary: 0 % > 30 % of users. The gate looks in 1 min 15 s" in told(seen, 2.4)
    assert told(seen, 3.0) == ""
    assert told.following.last_step == 1


def test_the_state_is_told_every_ten_seconds_with_requests_and_the_words_of_checks():
    told, seen = Told(), replace(view("running", 30.0), report=report("collecting", "Collecting: x"))
    told(seen, 0.0)

    assert told(seen, 9.0) == ""
    said = told(seen, 70.0)
    assert "1:10  canary 30 %, 1,200 requests, 300 of them the candidate's: collecting" in said
    assert "errors: so and so" in said


def test_what_a_look_said_and_what_changed_is_told_once_in_the_order_of_time():
    later = report("pass", "Pass: errors within the margin", at=3, look=1)
    held = report("hold", "Hold: nobody is heard of", at=2)
    told, seen = Told(), replace(view("running", 30.0), reports=(later, held, report("collecting", "x", at=1)))

    said = told(seen, 0.0)

    assert said.index("The gate, hold. nobody is heard of") < said.index("The gate, look 1: pass. errors within")
    assert "collecting" not in said
    assert "pass" not in told(seen, 1.0)


def test_a_summary_without_the_verdict_in_front_is_told_whole():
    killed = replace(view("running", 30.0), reports=(report("fail", "Fast kill: 3 users failed"),))

    assert "The gate, fail. Fast kill: 3 users failed" in Told()(killed, 0.0)


@pytest.mark.parametrize(
    ("standing", "percent", "words"),
    [
        ("rolled_back", 0.0, "The controller rolls back: 30 % > 0 %"),
        ("at_ga", 100.0, "The controller moves to general availability: 30 % > 100 %"),
        ("inconclusive", 30.0, "stays at 30 % and asks a person"),
    ],
)
def test_every_end_is_told(standing: Standing, percent: float, words: str):
    told = Told()
    told(view("running", 30.0), 0.0)
    seen = view(standing, percent, step=2)

    assert words in told(seen, 1.0)
    assert is_over(seen)
    assert told.following.last_step == (2 if standing == "inconclusive" else 1)


def test_before_it_starts_there_is_no_phase_and_nothing_to_tell():
    assert Told()(view("idle", 0.0, phase=None), 0.0) == ""
    assert not is_over(view("idle", 0.0, phase=None))


def test_verdicts_have_colours_where_there_are_any():
    told = Told(Following(lambda word: f"<{word}>"))
    seen = replace(view("running", 30.0), report=replace(report("hold", "x"), checks=()))
    told(seen, 0.0)

    assert told(seen, 20.0) == "  0:20  canary 30 %: <hold>"
    assert plain("hold") == "hold"


@pytest.mark.parametrize(
    ("story", "standing", "phase", "is_right"),
    [
        ("equal", "at_ga", "ga", True),
        ("equal", "rolled_back", "canary", False),
        ("slow", "rolled_back", "canary", True),
        ("failing", "inconclusive", "canary", False),
        ("unhappy", "rolled_back", "beta", True),
        ("unhappy", "inconclusive", "beta", True),
        ("unhappy", "rolled_back", "canary", False),
        ("unhappy", "at_ga", "ga", False),
    ],
)
def test_a_story_has_one_right_end(story: str, standing: Standing, phase: Phase, *, is_right: bool):
    assert is_as_declared(STORIES[story], view(standing, 0.0, phase=phase)) is is_right
