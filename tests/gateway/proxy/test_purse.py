"""What a day may cost: never more than the cap while ceilings hold, whoever asks, whatever midnight does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.record import Attempt, Record
from gateway.proxy.limits import ROW_CELLS, Sheet
from gateway.proxy.purse import NANO, UNDER_WAY, Purse, nano, owed
from tests.fakes.turns import Stage

DAY = 20_000


def shared(workers: int) -> list[Purse]:
    """Return one purse as each of so many workers sees it."""
    cells = [0] * (workers * ROW_CELLS)
    return [Purse(Sheet(cells, row, [workers])) for row in range(workers)]


STEPS = st.lists(st.tuples(st.sampled_from(["begin", "end", "next day"]), st.integers(0, 2), st.integers(0, 9)))


@given(STEPS, st.integers(1, 40), st.integers(1, 9))
def test_a_days_charges_never_exceed_its_cap_while_nothing_costs_more_than_its_ceiling(
    steps: list[tuple[str, int, int]], cap: int, ceiling: int
):
    purses, day, under_way, spent = shared(3), DAY, [list[int]() for _ in range(3)], dict[int, int]()
    for step, worker, cost in steps:
        if step == "next day":
            day += 1
        elif step == "begin":
            aside = sum(one.count(day) for one in under_way) * ceiling
            is_room = spent.get(day, 0) + aside + ceiling <= cap
            assert purses[worker].set_aside(ceiling, cap, day) == is_room
            under_way[worker] += [day] * is_room
        elif under_way[worker]:
            of_day = under_way[worker].pop(0)
            purses[worker].settle(ceiling, min(cost, ceiling), of_day)
            spent[of_day] = spent.get(of_day, 0) + min(cost, ceiling)
        aside = sum(one.count(day) for one in under_way) * ceiling
        assert purses[-1].charged(day) == spent.get(day, 0) + aside <= cap


def test_a_request_of_yesterday_is_charged_to_yesterday():
    (purse,) = shared(1)
    assert purse.set_aside(60, 100, DAY)
    assert purse.set_aside(100, 100, DAY + 1)
    purse.settle(60, 50, DAY)

    assert (purse.charged(DAY), purse.charged(DAY + 1)) == (50, 100)


def test_what_ends_two_days_later_touches_no_other_day():
    (purse,) = shared(1)
    assert purse.set_aside(60, 100, DAY)
    assert purse.set_aside(70, 100, DAY + 2)
    purse.settle(60, 50, DAY)

    assert purse.charged(DAY + 2) == 70


def test_a_cost_above_the_ceiling_is_charged_and_closes_the_day():
    purse, other = shared(2)
    assert purse.set_aside(10, 100, DAY)
    purse.settle(10, 130, DAY)

    assert purse.charged(DAY) == 130
    assert not other.set_aside(1, 100, DAY)


def test_what_is_only_set_aside_may_come_back_and_what_was_spent_does_not():
    purse, other = shared(2)
    assert purse.set_aside(60, 100, DAY)
    assert not other.set_aside(60, 100, DAY)
    assert other.may_come_back(60, 100, DAY)

    purse.settle(60, 60, DAY)
    assert not other.may_come_back(60, 100, DAY)


TURNS = st.lists(st.integers(0, 2), max_size=60)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), min_size=3, max_size=3), TURNS)
def test_in_whatever_order_reads_and_writes_fall_no_more_is_set_aside_and_spent_than_the_cap(
    plays: list[list[int]], turns: list[int]
):
    stage = Stage(3)
    purses = [Purse(sheet) for sheet in stage.sheets]
    owing = [0, 0, 0]

    def script(at: int) -> Callable[[], None]:
        def run() -> None:
            for cost in plays[at]:
                if purses[at].set_aside(9, 20, DAY):
                    owing[at] += 9
                    purses[at].settle(9, cost, DAY)
                    owing[at] += cost - 9

        return run

    def check() -> None:
        assert sum(owing) <= 20

    stage.play([script(at) for at in range(3)], turns, check)
    assert purses[0].charged(DAY) == sum(owing)
    assert sum(stage.sheets[0].column(UNDER_WAY)) == 0


def attempt(cost_usd: float | None, status: int | None = 200, error_class: str | None = None) -> Attempt:
    return Attempt(
        arm="base",
        model="gpt",
        upstream="one",
        status=status,
        error_class=error_class,
        upstream_ms=1.0,
        cost_usd=cost_usd,
    )


def record(*attempts: Attempt, ttft_ms: float | None = None) -> Record:
    return Record(request_id="r", seq=1, started_at=1, outcome="ok", attempts=list(attempts), ttft_ms=ttft_ms)


CEILING = 50


@pytest.mark.parametrize(
    ("settled", "charged"),
    [
        (None, CEILING),
        (record(), 0),
        (record(attempt(0.000_000_03)), 30),
        (record(attempt(0.000_000_03), attempt(0.000_000_1)), 130),
        (record(attempt(None)), CEILING),
        (record(attempt(None, status=None, error_class="first_byte_timeout"), attempt(0.000_000_03)), CEILING),
        (record(attempt(None), attempt(0.000_000_09)), 90),
        (record(attempt(None, 503, "http_503")), 0),
        (record(attempt(None, 400, "http_400"), ttft_ms=3.0), 0),
        (record(attempt(None, None, "connect_refused")), 0),
        (record(attempt(None, 200, "error_event")), 0),
        (record(attempt(None, 200, "error_event"), ttft_ms=3.0), CEILING),
        (record(attempt(None, None, "connect_refused"), attempt(0.000_000_03)), 30),
    ],
)
def test_a_request_is_charged_all_its_tries_and_the_ceiling_where_nobody_knows(settled: Record | None, charged: int):
    assert owed(settled, CEILING) == charged


def test_an_amount_is_at_least_one_billionth_of_a_dollar():
    assert (nano(1e-12), nano(0.1 + 0.2), nano(1)) == (1, 300_000_000, NANO)
