from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollout.bucket import BUCKETS, bucket, spread, threshold

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "bucket-vectors.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("vector", VECTORS["salted"]["vectors"], ids=lambda vector: repr(vector["user_key"]))
def test_a_salted_user_key_falls_into_its_known_bucket(vector: dict[str, str]):
    assert bucket(VECTORS["salted"]["salt"], vector["user_key"].encode()) == vector["bucket"]


@pytest.mark.parametrize("vector", VECTORS["bare"]["vectors"], ids=lambda vector: vector["key"])
def test_the_ends_of_the_hash_range_fall_into_the_first_and_the_last_bucket(vector: dict[str, str]):
    assert spread(vector["key"].encode()) == vector["bucket"]


@given(st.text(min_size=1), st.binary())
def test_every_key_has_one_bucket_in_range(salt: str, user_key: bytes):
    assert 0 <= bucket(salt, user_key) < BUCKETS
    assert bucket(salt, user_key) == bucket(salt, user_key)


@given(st.integers(0, BUCKETS))
def test_a_percent_of_two_decimals_gives_exactly_its_buckets(hundredths: int):
    assert threshold(hundredths / 100) == hundredths


def test_buckets_are_spread_evenly():
    counts = [0] * 10
    for number in range(20_000):
        counts[bucket("salt", f"user-{number}".encode()) // 1000] += 1

    assert max(abs(count - 2_000) for count in counts) < 5 * 2_000**0.5
