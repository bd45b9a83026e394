from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from analytics.ranks import places, quantiles

LEVELS = [0.0, 0.01, 0.3, 0.5, 0.99, 1.0]


def sorted_quantile(values: list[float], level: float) -> float:
    """Return what all values, sorted, give."""
    at = (len(values) - 1) * level
    low, high = sorted(values)[math.floor(at)], sorted(values)[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


@given(st.lists(st.integers(0, 60).map(lambda number: number / 4), min_size=1, max_size=40))
def test_quantiles_of_counted_bins_are_those_of_all_values(values: list[float]) -> None:
    counts = sorted(Counter(math.floor(value) for value in values).items())
    by_bin = {number: sorted(value for value in values if math.floor(value) == number) for number, _ in counts}
    wanted = {place for pair in places(LEVELS, counts) for place in pair}
    found = quantiles(LEVELS, counts, {(number, rank): by_bin[number][rank - 1] for number, rank in wanted})

    assert found == [sorted_quantile(values, level) for level in LEVELS]


def test_the_median_of_two_bins_lies_between_their_neighbours() -> None:
    counts = [(3, 2), (7, 2)]

    assert places([0.5], counts) == [((3, 2), (7, 1))]
    assert quantiles([0.5], counts, {(3, 2): 3.5, (7, 1): 7.1}) == [5.3]


def test_no_values_have_no_quantile() -> None:
    assert places(LEVELS, []) == []
    assert quantiles(LEVELS, [], {}) is None
