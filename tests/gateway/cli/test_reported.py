from __future__ import annotations

import pytest

from analytics.narrowing import Narrowing
from gateway.cli.reported import percent, plain, span, subject


def test_a_report_says_which_requests_it_is_about():
    narrowed = Narrowing(rollout="sales", generation=2, step=3, application="web\x1b[2J", tags=("team=a",), forced=True)

    assert subject(Narrowing()) == "All traffic"
    assert subject(Narrowing(purpose="eval", endpoint="embeddings")) == "All traffic, endpoint embeddings, purpose eval"
    assert subject(narrowed) == (
        "Rollout sales, generation 2, step 3, application web\\x1b[2J, tag team=a, with pinned users"
    )


def test_a_span_without_requests_says_so():
    assert span(0, None, None) == "no request yet"
    assert span(1_200, 0, 60_000_000) == "1,200 requests, 1970-01-01 00:00:00Z to 1970-01-01 00:01:00Z"


def test_a_name_commands_no_terminal():
    assert plain("gpt\x1b]0;x\x07\n") == "gpt\\x1b]0;x\\x07\\n"
    assert plain(None) == "(none)"


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0.0 %"), (0.5, "50.0 %"), (0.001, "0.1 %"), (0.00012, "0.012 %"), (1.0, "100.0 %")]
)
def test_small_shares_have_two_digits_that_say_something(share: float, words: str):
    assert percent(share) == words
