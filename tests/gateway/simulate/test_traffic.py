from __future__ import annotations

import json
from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.trace import Row
from gateway.simulate.traffic import Planned, Wording, assign_users, body, plan, user_key

WORDING = Wording(model="sales-companion", users=2000, most_prompt_bytes=4096)
ROWS = [Row(at_s=number / 10, input_tokens=100 + number, output_tokens=number) for number in range(400)]


def planned(**changes: object) -> Planned:
    usual = {
        "number": 3,
        "at_s": 0.0,
        "user": 6,
        "input_tokens": 10,
        "output_tokens": 5,
        "stream": False,
        "asks_usage": False,
    }
    return Planned(**{**usual, **changes})  # pyright: ignore[reportArgumentType] - the test names them


@given(st.integers(1, 300), st.integers(1, 300), st.integers())
def test_every_user_appears_when_there_are_requests_enough(requests: int, users: int, seed: int):
    drawn = assign_users(requests, users, Random(seed))

    assert len(drawn) == requests
    assert set(range(min(requests, users))) <= set(drawn) <= set(range(users))


def test_usage_is_skewed():
    counts = Counter(assign_users(20_000, 1000, Random(1)))

    assert counts[0] > 10 * counts[100]


def test_the_same_seed_plans_the_same():
    first, second = (list(plan(ROWS, users=50, stream_share=0.5, rng=Random(4))) for _ in range(2))

    assert first == second


def test_a_plan_keeps_the_traces_times_and_counts():
    made = list(plan(ROWS, users=50, stream_share=0.5, rng=Random(4)))

    assert [Row(at_s=one.at_s, input_tokens=one.input_tokens, output_tokens=one.output_tokens) for one in made] == ROWS
    assert [one.number for one in made] == list(range(400))


def test_streams_come_in_their_share_and_every_second_asks_for_usage():
    made = list(plan(ROWS, users=50, stream_share=0.5, rng=Random(4)))
    streams = [one for one in made if one.stream]

    assert 150 < len(streams) < 250
    assert [one.asks_usage for one in streams[:4]] == [False, True, False, True]
    assert not any(one.asks_usage for one in made if not one.stream)


def test_a_request_carries_user_limit_and_fixed_counts():
    sent = json.loads(body(planned(), WORDING))

    assert sent["user"] == "user-0007"
    assert (sent["model"], sent["max_tokens"]) == ("sales-companion", 5)
    assert sent["metadata"] == {"simulate_input_tokens": "10", "simulate_output_tokens": "5"}
    assert sent["messages"][0]["content"].startswith("Synthesised prompt:")
    assert "stream" not in sent


def test_a_stream_asks_for_what_it_was_planned_to():
    assert json.loads(body(planned(stream=True, asks_usage=True), WORDING))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in json.loads(body(planned(stream=True), WORDING))


def test_a_prompt_has_the_size_of_its_tokens_up_to_the_limit():
    sizes = [len(json.loads(body(planned(input_tokens=n), WORDING))["messages"][0]["content"]) for n in (0, 100, 9000)]

    assert sizes == [4, 400, 4096]


def test_an_answer_of_no_tokens_is_still_a_valid_request():
    sent = json.loads(body(planned(output_tokens=0), WORDING))

    assert (sent["max_tokens"], sent["metadata"]["simulate_output_tokens"]) == (1, "0")


def test_user_keys_are_as_wide_as_the_last_one():
    assert (user_key(0, 2000), user_key(1999, 2000)) == ("user-0001", "user-2000")
    assert user_key(0, 123_456) == "user-000001"
