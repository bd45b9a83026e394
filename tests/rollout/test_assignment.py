from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rollout.assignment import Assignment, assign
from rollout.bucket import bucket
from rollout.flag import Flag, user_hash

FLAG = Flag(rollout="sales", flag="f", base="gpt", candidate="tuned", salt="salt", percent=10.0)
PERCENTS = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)


def decided(flag: Flag, user_key: bytes, *, fresh: bool = True, killed: bool = False) -> Assignment:
    return assign(flag, user_key, user_hash(b"key", user_key), fresh=fresh, killed=killed)


@given(st.binary(min_size=1), PERCENTS, PERCENTS)
def test_raising_the_percentage_never_moves_a_candidate_user_back(user_key: bytes, one: float, other: float):
    low, high = sorted((one, other))

    if decided(replace(FLAG, percent=low), user_key).arm == "candidate":
        assert decided(replace(FLAG, percent=high), user_key).arm == "candidate"


@given(st.binary(min_size=1), st.integers(0, 100))
def test_a_whole_percent_takes_exactly_the_hundredths_below_it(user_key: bytes, percent: int):
    made = decided(replace(FLAG, percent=float(percent)), user_key)

    assert made.reason == "split"
    assert made.bucket is not None
    assert (made.arm == "candidate") == (made.bucket // 100 < percent)


@given(st.binary(min_size=1))
def test_nobody_is_candidate_at_0_and_everybody_at_100(user_key: bytes):
    assert decided(replace(FLAG, percent=0.0), user_key).arm == "base"
    assert decided(replace(FLAG, percent=100.0), user_key).arm == "candidate"


def test_a_forced_user_gets_the_arm_whatever_the_percent():
    flag = replace(FLAG, percent=0.0, forced={user_hash(b"key", b"alice").hex(): "candidate"})

    assert decided(flag, b"alice") == Assignment("candidate", "targeting_match", bucket("salt", b"alice"))
    assert decided(flag, b"bob").reason == "split"


def test_an_anonymous_request_gets_base():
    assert assign(FLAG, None, None, fresh=True, killed=False) == Assignment("base", "default", None)
    assert assign(FLAG, b"alice", None, fresh=True, killed=False) == Assignment("base", "default", None)


def test_the_kill_switch_sends_everybody_to_base():
    flag = replace(FLAG, percent=100.0, forced={user_hash(b"key", b"alice").hex(): "candidate"})

    assert decided(flag, b"alice", killed=True) == Assignment("base", "disabled", None)


def test_an_old_flag_still_decides_and_says_that_it_is_stale():
    made, fresh = decided(FLAG, b"alice", fresh=False), decided(FLAG, b"alice")

    assert (made.arm, made.bucket) == (fresh.arm, fresh.bucket)
    assert made.reason == "stale"
