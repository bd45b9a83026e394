from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.flag import BadPercentError, derived_salt, parse_percent, user_hash


@given(st.integers(0, 10_000))
def test_any_percent_of_two_decimals_is_read_exactly(hundredths: int):
    assert parse_percent(f"{hundredths // 100}.{hundredths % 100:02d}") == hundredths / 100


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("-1", "percent -1 is outside 0 to 100"),
        ("100.001", "percent 100.001 is outside 0 to 100"),
        ("33.333", "percent 33.333 is finer than a bucket (0.01 %); write 33.33"),
        ("NaN", "percent 'NaN' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("sNaN", "percent 'sNaN' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("-inf", "percent '-inf' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("1e400", "percent '1e400' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("1e1", "percent '1e1' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("\uff10", "percent '\uff10' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("0.001", "percent 0.001 is finer than a bucket (0.01 %); write 0.01"),
        ("5%", "percent '5%' is not a number; write 5"),
        (" 5 % ", "percent ' 5 % ' is not a number; write 5"),
        ("%", "percent '%' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("", "percent '' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("ten", "percent 'ten' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
        ("1,5", "percent '1,5' is not a number; write a number from 0 to 100, such as 10 or 2.5"),
    ],
)
def test_a_bad_percent_is_refused_with_its_remedy(text: str, sentence: str):
    with pytest.raises(BadPercentError) as refused:
        parse_percent(text)

    assert str(refused.value) == sentence


@given(st.text())
def test_any_text_is_a_percent_in_range_or_refused(text: str):
    with contextlib.suppress(BadPercentError):
        assert 0 <= parse_percent(text) <= 100


def test_a_salt_is_new_for_every_generation_rollout_and_installation():
    salts = {
        derived_salt(key, rollout, generation)
        for key in (b"a", b"b")
        for rollout in ("x", "y")
        for generation in (1, 2)
    }

    assert len(salts) == 8
    assert {len(salt) for salt in salts} == {32}


def test_a_user_hash_is_sixteen_bytes_and_another_in_every_installation():
    assert len(user_hash(b"key", b"alice")) == 16
    assert user_hash(b"key", b"alice") != user_hash(b"other", b"alice")
