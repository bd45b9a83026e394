"""What comes next, from a position in the plan."""

from __future__ import annotations

import typing

import pytest
from msgspec.structs import replace

from rollout.outlook import Condition, Position, ahead, may_do, onward, when
from rollout.plan import DEFAULT_PLAN

HERE = Position(plan=DEFAULT_PLAN, condition="running", percent=10.0, row_number=2, next_look_s=90.0)
CONDITIONS: tuple[Condition, ...] = typing.get_args(Condition)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_standing_has_answers_before_the_gate_said_anything(condition: Condition):
    position = replace(HERE, condition=condition)

    assert all((when(None, position), ahead(None, position), may_do(None, position)))


def test_the_next_row_is_named_and_whether_somebody_is_asked():
    assert onward(HERE) == "the candidate goes from 10 % to 25 % of users, once somebody has approved it"
    assert onward(replace(HERE, row_number=1, percent=5.0)) == "the candidate goes from 5 % to 10 % of users"
    assert onward(replace(HERE, row_number=5)) == "nothing changes: this is the last step"
    assert onward(replace(HERE, row_number=None)) == "nothing changes: this is the last step"


def test_a_wait_is_named_where_one_is_known():
    assert when(None, HERE) == "In 1 min 30 s of running time; pauses and holds do not count"
    assert when(None, replace(HERE, condition="scheduled", wait_s=7200.0)) == "At the start, in 2 h"
    assert when(None, replace(HERE, condition="scheduled")) == "At the start"
    assert when(None, replace(HERE, next_look_s=None)).startswith("When a person decides")
