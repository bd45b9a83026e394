from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.scalars import UnanswerableError, number, text, whole_number

seeds = st.integers()
bounds = st.integers(-(10**6), 10**6)


@given(least=st.integers(0, 60), extra=st.integers(0, 60), seed=seeds, vary=st.booleans())
def test_a_string_keeps_its_lengths(least: int, extra: int, seed: int, *, vary: bool):
    made = text({"minLength": least, "maxLength": least + extra}, Random(seed), vary=vary)

    assert least <= len(made) <= least + extra


@pytest.mark.parametrize(
    "pattern", [r"^\d{5}$", r"^[A-Z]{2}-\d{4}$", r"^#[0-9a-f]{6}$", r"^\w+@\w+\.com$", "simul|order|offer"]
)
def test_a_common_pattern_is_matched(pattern: str):
    assert re.search(pattern, text({"pattern": pattern}, Random(1), vary=False))


@pytest.mark.parametrize(
    "schema",
    [{"pattern": "^never-heard-of$"}, {"pattern": "("}, {"minLength": 3, "maxLength": 2}],
)
def test_a_string_that_cannot_be_made_is_refused(schema: dict[str, object]):
    with pytest.raises(UnanswerableError):
        text(schema, Random(1), vary=False)


@pytest.mark.parametrize("name", ["date-time", "date", "email", "uuid", "ipv4", "uri"])
def test_a_format_has_its_example(name: str):
    assert text({"format": name}, Random(1), vary=False)


@given(low=bounds, width=st.integers(0, 10**6), step=st.integers(1, 500), seed=seeds, vary=st.booleans())
def test_a_whole_number_keeps_bounds_and_multiples(low: int, width: int, step: int, seed: int, *, vary: bool):
    schema = {"minimum": low, "maximum": low + width, "multipleOf": step}
    exists = (low + width) // step * step >= low
    try:
        made = whole_number(schema, Random(seed), vary=vary)
    except UnanswerableError:
        assert not exists
    else:
        assert low <= made <= low + width
        assert made % step == 0


@given(low=bounds, width=st.integers(2, 10**6), seed=seeds, vary=st.booleans())
def test_exclusive_bounds_are_exclusive(low: int, width: int, seed: int, *, vary: bool):
    schema = {"exclusiveMinimum": low, "exclusiveMaximum": low + width}

    assert low < number(schema, Random(seed), vary=vary) < low + width
    assert low < whole_number(schema, Random(seed), vary=vary) < low + width


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({}, 1.5),
        ({"minimum": 10}, 10),
        ({"exclusiveMinimum": 10}, 11),
        ({"maximum": -10}, -10),
        ({"exclusiveMaximum": -10}, -11),
        ({"minimum": 2, "maximum": 2}, 2),
        ({"multipleOf": 0.01}, 3),
        ({"multipleOf": 0.4, "maximum": 1}, 0.8),
    ],
)
def test_a_number_is_as_plain_as_its_bounds_allow(schema: dict[str, float], made: float):
    assert number(schema, Random(1), vary=False) == made


@pytest.mark.parametrize(
    "schema", [{"minimum": 2, "maximum": 1}, {"multipleOf": 0}, {"multipleOf": 7, "minimum": 8, "maximum": 13}]
)
def test_a_number_that_does_not_exist_is_refused(schema: dict[str, float]):
    with pytest.raises(UnanswerableError):
        number(schema, Random(1), vary=False)
