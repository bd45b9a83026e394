from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from analytics.comparison import ArmFigures, Comparison, Difference, Figure, LeftOut
from analytics.freshness import UNKNOWN
from gateway.cli.staging import PLAN
from gateway.cli.story import LONGEST_S, Play, in_words
from gateway.simulate.stories import STORIES
from rollout.progress import Standing
from tests.fakes.gate_views import view

NOTHING = Figure(value=None, of=0)


def arm(satisfied: float | None) -> ArmFigures:
    return ArmFigures(
        model="m",
        requests=10,
        users=5,
        errors=0,
        error_rate=NOTHING,
        latency_p50_ms=NOTHING,
        latency_p99_ms=NOTHING,
        ttft_p50_ms=NOTHING,
        output_tokens=NOTHING,
        cost_usd=NOTHING,
        total_cost_usd=None,
        cost_unknown=0,
        ratings=10,
        satisfaction=Figure(value=satisfied, of=10),
        response_rate=NOTHING,
    )


def compared(
    base: float | None,
    candidate: float | None,
    low: float | None,
    high: float | None,
    p50: float = 0.251,
    p99: float = 0.1,
) -> Comparison:
    facts: dict[str, Any] = dict.fromkeys(Comparison.__struct_fields__)
    slower, dearer = Difference(value=9.0, relative=p50), Difference(value=-0.1, relative=-0.5)
    liked = Difference(value=None, relative=None, low=low, high=high)
    facts |= {
        "rollout": "r",
        "generation": 1,
        "tags": (),
        "purpose": "live",
        "forced": False,
        "endpoints": {"chat.completions": 20},
        "as_of": 0,
        "freshness": UNKNOWN,
        "left_out": LeftOut(forced=0, without_user=0, not_live=0),
        "base": arm(base),
        "candidate": arm(candidate),
        "difference": {
            "satisfaction": liked,
            "latency_p50_ms": slower,
            "latency_p99_ms": Difference(value=9.0, relative=p99),
            "cost_usd": dearer,
        },
    }
    return msgspec.convert(facts, Comparison)


@pytest.mark.parametrize(
    ("candidate", "low", "high", "words"),
    [
        (0.9, 0.1, 0.3, "Users like the candidate more (90 % of the ratings are good, 70 % with the base)"),
        (0.5, -0.3, -0.1, "Users like the candidate less ("),
        (0.9, -0.1, 0.5, "Users may like the candidate more, or it is chance ("),
        (0.5, None, None, "Users may like the candidate less, or it is chance ("),
    ],
)
def test_a_difference_that_may_be_chance_is_said_to_be(
    candidate: float, low: float | None, high: float | None, words: str
):
    said = in_words(compared(0.7, candidate, low, high))

    assert words in said
    assert "Half of its answers take 25 % more time; a request costs 50 % less." in said


@pytest.mark.parametrize(
    ("p50", "p99", "words"),
    [
        (-0.1, 0.3, "Half of its answers take 10 % less time, but the slowest one in a hundred 30 % more;"),
        (0.1, -0.3, "Half of its answers take 10 % more time, but the slowest one in a hundred 30 % less;"),
        (-0.1, 0.001, "Half of its answers take 10 % less time;"),
        (0.001, 0.002, "Half of its answers take as much time;"),
    ],
)
def test_the_sentence_says_what_it_rests_on_and_when_the_slowest_say_otherwise(p50: float, p99: float, words: str):
    assert words in in_words(compared(0.7, 0.9, 0.1, 0.3, p50=p50, p99=p99))


def test_without_ratings_nothing_is_said():
    assert "too few" in in_words(compared(None, 0.9, None, None))


def test_the_beginning_names_the_address_and_the_whole_plan_and_that_it_is_none_for_real_traffic(
    capsys: pytest.CaptureFixture[str],
):
    play = Play(Path("/kept"), STORIES["slow"])
    play.begin("Turnout is ready.\n  gateway   http://127.0.0.1:4711/v1   (the base_url of your applications)\n")
    said = capsys.readouterr().out

    assert "their base_url, to http://127.0.0.1:4711/v1\n" in said
    assert "it is rolled back in canary" in said
    assert all(f"      {line}\n" in said for line in PLAN.splitlines() if line)
    assert "NO VALUES FOR REAL TRAFFIC" in said


@pytest.mark.parametrize(("is_declared", "words"), [(True, "ended as declared"), (False, "did NOT end as declared")])
def test_the_end_says_whether_it_is_the_declared_one_and_names_the_folder(
    *, is_declared: bool, words: str, capsys: pytest.CaptureFixture[str]
):
    play = Play(Path("/kept"), STORIES["slow"])
    play.end(Path("/kept"), is_declared=is_declared)
    play.end(None, is_declared=is_declared)
    said = capsys.readouterr().out

    assert f'Story "slow" {words}' in said
    assert "turnout report compare --step 0 --direct --state-dir /kept\n" in said
    assert "Nothing is left" in said


@pytest.mark.parametrize(("standing", "is_right"), [("rolled_back", True), ("inconclusive", False)])
def test_a_story_is_watched_until_it_is_over(standing: Standing, *, is_right: bool, capsys: pytest.CaptureFixture[str]):
    seen = iter([view("running", 30.0), view(standing, 0.0, step=2)])
    play = Play(Path("/kept"), STORIES["slow"])

    assert play.watch(lambda: next(seen), time.monotonic()) is is_right
    assert "The controller begins canary" in capsys.readouterr().out
    assert play.last_step == 1


def test_a_story_that_does_not_end_is_given_up(capsys: pytest.CaptureFixture[str]):
    play = Play(Path("/kept"), STORIES["slow"])

    assert not play.watch(lambda: view("running", 30.0), time.monotonic() - LONGEST_S)
    assert "given up" in capsys.readouterr().out
