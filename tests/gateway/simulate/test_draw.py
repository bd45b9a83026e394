from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.config import SimulatedModel
from gateway.simulate.draw import MOST_OUTPUT_TOKENS, fate, output_length, source


def test_without_spread_every_draw_is_the_median():
    model = SimulatedModel(ttft_ms=120, ttft_sigma=0, output_tokens=220, output_sigma=0)

    assert fate(model, Random(1)).ttft_ms == 120
    assert output_length(model, Random(1)) == 220


def test_half_of_the_draws_lie_below_the_median():
    model = SimulatedModel(ttft_ms=120, ttft_sigma=0.5, output_tokens=220, output_sigma=0.5)
    draws = [source(1, "m", number) for number in range(4000)]

    below = sum(fate(model, rng).ttft_ms < 120 for rng in draws)
    shorter = sum(output_length(model, rng) < 220 for rng in draws)

    assert 1850 < below < 2150
    assert 1850 < shorter < 2150


def test_errors_come_in_their_configured_shares():
    model = SimulatedModel(errors={500: 0.1, 429: 0.05})

    seen = Counter(fate(model, source(1, "m", number)).error for number in range(4000))

    assert 320 < seen[500] < 480
    assert 140 < seen[429] < 260
    assert seen.keys() == {500, 429, None}


@given(st.integers(0, 2**62), st.text(max_size=20), st.integers())
def test_the_same_place_in_the_same_seed_draws_the_same(seed: int, model: str, ordinal: int):
    assert source(seed, model, ordinal).random() == source(seed, model, ordinal).random()


@given(st.floats(0, 5), st.integers())
def test_a_length_is_never_nothing_and_never_boundless(sigma: float, seed: int):
    model = SimulatedModel(output_tokens=1000, output_sigma=sigma)

    assert 1 <= output_length(model, Random(seed)) <= MOST_OUTPUT_TOKENS
