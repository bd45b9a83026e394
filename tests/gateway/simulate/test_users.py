from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.users import Habit, Opinion, habit, opinion, text_of

GOOD, WEAK = "Simulated answer: yes", "Simulated guess: yes"


def test_the_same_seed_and_number_give_the_same_habit():
    drawn = [habit(7, number, 0.5) for number in range(200)]

    assert drawn == [habit(7, number, 0.5) for number in range(200)]
    assert drawn != [habit(8, number, 0.5) for number in range(200)]


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.3, 250, 350), (1.0, 1000, 1000)])
def test_the_asked_share_of_users_speaks(share: float, low: int, high: int):
    assert low <= sum(habit(1, number, share) is not None for number in range(1000)) <= high


def test_some_speak_by_stars_some_late_some_twice():
    drawn = [one for number in range(2000) if (one := habit(1, number, 1.0)) is not None]

    counts = Counter(name for one in drawn for name in Habit.__struct_fields__ if getattr(one, name))
    assert 500 <= counts["by_rating"] <= 700
    assert 300 <= counts["late"] <= 500
    assert 30 <= counts["twice"] <= 100


@pytest.mark.parametrize(
    ("drawn", "text", "said"),
    [
        (Habit(), GOOD, Opinion(thumb="up")),
        (Habit(), WEAK, Opinion(thumb="down")),
        (Habit(by_rating=True), GOOD, Opinion(rating=5)),
        (Habit(by_rating=True, firm=False), GOOD, Opinion(rating=4)),
        (Habit(by_rating=True, firm=False), WEAK, Opinion(rating=2)),
        (Habit(by_rating=True, signals=True), WEAK, Opinion(rating=1, signal="regenerated")),
        (Habit(signals=True), GOOD, Opinion(thumb="up", signal="copied")),
        (Habit(), '{"items": []}', None),
    ],
)
def test_an_opinion_follows_from_the_words_alone(drawn: Habit, text: str, said: Opinion | None):
    assert opinion(drawn, text) == said
    assert said is None or said.liked is (text == GOOD)


def test_feedback_names_the_request_and_nothing_that_was_not_said():
    assert json.loads(Opinion(thumb="up").body("r-1")) == {"request_id": "r-1", "thumb": "up"}
    assert json.loads(Opinion(rating=2).body("r-1")) == {"request_id": "r-1", "rating": 2}


def test_the_text_of_an_answer_is_read_whole_and_streamed():
    whole = json.dumps({"choices": [{"message": {"content": GOOD}}, {"message": {"content": "other"}}]})
    parts = [{"choices": [{"delta": {"content": part}}]} for part in (None, "Simulated ", "answer: yes")]
    stream = "".join(f"data: {json.dumps(part)}\r\n\r\n" for part in [*parts, {"choices": []}]) + "data: [DONE]\n\n"

    assert text_of(whole.encode(), streamed=False) == GOOD
    assert text_of(stream.encode(), streamed=True) == GOOD


@given(body=st.binary(), streamed=st.booleans())
def test_what_cannot_be_read_says_nothing(*, body: bytes, streamed: bool):
    assert isinstance(text_of(body, streamed=streamed), str)
