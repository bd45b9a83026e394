from __future__ import annotations

import pytest

from analytics.plausible import Doubt, doubts, is_beyond_belief
from analytics.pricing import Conditional, Price

MINI = Price(input=0.15, output=0.6, cached_input=0.075)


def said(price: Price, listed: Price | None = None) -> list[tuple[str, str, bool]]:
    return [(doubt.part, doubt.message, doubt.is_error) for doubt in doubts(price, listed)]


@pytest.mark.parametrize(
    "price",
    [
        MINI,
        Price(input=0.0, output=0.0),
        Price(input=0.02, output=0.0),
        Price(input_second=0.0001),
        Price(input=99.0, output=399.0),
        Price(input=0.01, output=2.0),
        Price(input=5.0, output=0.1),
        Price(input=1.0, output=1.0, cached_input=0.005),
    ],
)
def test_a_sound_price_is_not_doubted(price: Price) -> None:
    assert said(price) == said(price, price) == []


def test_the_dearest_price_is_doubted_only_where_nothing_is_known_of_it() -> None:
    pro = Price(input=150.0, output=600.0)

    assert said(pro, pro) == []
    assert said(pro) == [
        ("input", "150 is dearer than all but a few models", False),
        ("output", "600 is dearer than all but a few models", False),
    ]


def test_a_hundred_times_the_shipped_price_is_an_error_and_a_hundredth_is_a_doubt() -> None:
    assert said(Price(input=150.0, output=600.0), MINI) == [
        ("input", "150 is 1,000 times the shipped 0.15", True),
        ("output", "600 is 1,000 times the shipped 0.6", True),
    ]
    assert said(Price(input=0.0015, output=0.5), MINI) == [("input", "0.0015 is 1/100 of the shipped 0.15", False)]
    assert said(Price(input=14.0, output=0.0061), MINI) != []
    assert said(Price(input=14.0, output=50.0, cached_input=7.0), MINI) == []


def test_a_price_by_the_minute_is_seen_beside_one_by_the_second() -> None:
    assert said(Price(input_second=0.006), Price(input_second=0.0001)) == [
        ("input_second", "0.006 is 60 times the shipped 0.0001", True)
    ]


@pytest.mark.parametrize(
    ("price", "doubt"),
    [
        (
            Price(input=1.0, output=201.0),
            Doubt(part="output", message="201 is 201 times input (1)"),
        ),
        (
            Price(input=0.15, output=390.0),
            Doubt(part="output", message="390 is 2,600 times input (0.15)", is_error=True),
        ),
        (Price(input=51.0, output=1.0), Doubt(part="input", message="51 is 51 times output (1)")),
        (
            Price(input=1.0, output=1.0, cached_input=1.5),
            Doubt(part="cached_input", message="1.5 is 1.5 times input (1)"),
        ),
        (
            Price(input=0.1, output=0.1, cached_input=110.0),
            Doubt(part="cached_input", message="110 is dearer than all but a few models"),
        ),
        (
            Price(input=1.0, output=1.0, cached_input=0.0001),
            Doubt(part="input", message="1 is 10,000 times cached_input (0.0001)", is_error=True),
        ),
    ],
)
def test_rates_of_one_price_that_do_not_stand_together_are_doubted(price: Price, doubt: Doubt) -> None:
    assert list(doubts(price, None)) == [doubt]


@pytest.mark.parametrize(
    "price", [Price(input=1000.5), Price(output_audio=2000.0), Price(when=(Conditional(tier="flex", output=1001.0),))]
)
def test_more_than_a_thousand_dollars_is_not_believed_under_any_condition(price: Price) -> None:
    assert is_beyond_belief(price)
    assert not is_beyond_belief(Price(input=1000.0, input_second=2000.0))
