from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analytics.telemetry.names import OTHER, Instrument
from analytics.telemetry.series import MOST_SERIES, Spread, Spreads, Sums

COUNTER = Instrument(name="turnout_a_total", kind="counter", told="A.", labels=("of",))
HISTOGRAM = Instrument(name="turnout_b", kind="histogram", told="B.", labels=("of",), bounds=(1.0, 2.0))


def test_a_sum_adds_up_by_its_labels() -> None:
    sums = Sums(COUNTER)
    for of, value in (("x", 1.0), ("y", 2.0), ("x", 3.0)):
        sums.add((of,), value)

    assert dict(sums.family().points) == {("x",): 4.0, ("y",): 2.0}


def test_series_beyond_the_most_are_one() -> None:
    sums, spreads = Sums(COUNTER), Spreads(HISTOGRAM)
    for number in range(MOST_SERIES + 10):
        sums.add((str(number),))
        spreads.add((str(number),), 1.0)

    counted, spread = dict(sums.family().points), dict(spreads.family().points)
    assert len(counted) == len(spread) == MOST_SERIES + 1
    assert counted[(OTHER,)] == 10
    other = spread[(OTHER,)]
    assert isinstance(other, Spread)
    assert sum(other.counts) == 10


def test_a_series_that_is_there_goes_on_when_there_is_no_room_for_more() -> None:
    sums = Sums(COUNTER)
    for number in range(MOST_SERIES + 1):
        sums.add((str(number),))
    sums.add(("0",))

    assert dict(sums.family().points)[("0",)] == 2


@given(st.lists(st.floats(0, 4)))
def test_each_value_is_in_the_first_bucket_whose_bound_is_not_below_it(values: list[float]) -> None:
    spreads = Spreads(HISTOGRAM)
    for value in values:
        spreads.add(("x",), value)

    for _, spread in spreads.family().points:
        assert isinstance(spread, Spread)
        assert spread.counts == [
            sum(value <= 1 for value in values),
            sum(1 < value <= 2 for value in values),
            sum(value > 2 for value in values),
        ]
        assert spread.total == sum(values)
