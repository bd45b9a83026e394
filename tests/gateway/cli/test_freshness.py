from __future__ import annotations

import pytest

from analytics.freshness import Freshness
from gateway.cli.freshness import freshness_lines

AT = 1_790_000_000_000_000


@pytest.mark.parametrize(
    ("behind_s", "words"),
    [
        (0.0, "by 2026-09-21 14:13:20 UTC is in it: the moment of the question."),
        (7.24, "by 2026-09-21 14:13:12 UTC is in it: 7.2 s before the question."),
        (600, "by 2026-09-21 14:03:20 UTC is in it: 10 min before the question."),
        (9000, "by 2026-09-21 11:43:20 UTC is in it: 2.5 h before the question."),
    ],
)
def test_people_are_told_up_to_when_an_answer_has_everything(behind_s: float, words: str):
    [line] = freshness_lines(Freshness(fresh_to=AT - round(behind_s * 1_000_000)), AT)

    assert line == f"Everything that had ended {words}"


def test_what_is_amiss_is_told_and_not_knowing_too():
    lines = list(freshness_lines(Freshness(fresh_to=None, warnings=("host a is silent",)), AT))

    assert lines == [
        "How fresh this is, nobody can tell: no host has told how far it has come.",
        "warning: host a is silent",
    ]
