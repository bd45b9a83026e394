"""What of a stream reaches the caller, and what is learnt on the way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.exchange import Exchange
from gateway.proxy.passage import MAX_EVENT_BYTES, OversizedEventError, Passage

FACTS: dict[str, Any] = {"request_id": "r", "seq": 1, "started_at": 0}


def event(**chunk: Any) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def delta(content: str) -> dict[str, Any]:
    return {"index": 0, "delta": {"content": content}}


FIRST = event(id="c-1", choices=[delta("Hello")])
LAST = event(id="c-1", choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
USAGE = event(id="c-1", choices=[], usage={"prompt_tokens": 7, "completion_tokens": 2})
DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
ERROR = event(error={"message": "no"})
UNREADABLE = b"data: {not json\n\n"


def passage(*, withholds_usage: bool = False) -> tuple[Passage, Exchange]:
    exchange = Exchange(dict(FACTS), 100.0)
    return Passage(exchange, withholds_usage=withholds_usage), exchange


def test_whole_events_pass_unchanged_and_in_order():
    through, _ = passage()

    assert through.take(FIRST + COMMENT + LAST[:10], 101.0) == FIRST + COMMENT
    assert through.take(LAST[10:] + USAGE + DONE, 102.0) == LAST + USAGE + DONE
    assert through.is_complete
    assert not through.has_failed
    assert not through.has_unreadable


def test_usage_that_the_caller_did_not_ask_for_is_withheld_and_learnt():
    through, exchange = passage(withholds_usage=True)

    passed = through.take(FIRST + LAST + USAGE + DONE, 101.0)

    record = exchange.settle("ok", 102.0, status=200)
    assert passed == FIRST + LAST + DONE
    assert (record.input_tokens, record.output_tokens, record.usage_source) == (7, 2, "reported")


def test_usage_beside_output_passes_even_when_usage_is_withheld():
    through, exchange = passage(withholds_usage=True)
    both = event(choices=[delta("x")], usage={"prompt_tokens": 7, "completion_tokens": 1})

    assert through.take(both, 101.0) == both
    assert exchange.settle("ok", 102.0, status=200).input_tokens == 7


def test_output_is_learnt_with_its_moment():
    through, exchange = passage()
    through.take(FIRST, 101.0)
    through.take(FIRST + LAST, 103.5)

    record = exchange.settle("ok", 104.0, status=200)

    assert (record.ttft_ms, record.output_ms, record.output_tokens) == (1000.0, 2500.0, 2)
    assert (record.finish_reason, record.response_id) == ("stop", "c-1")


def test_an_error_event_passes_and_is_noted():
    through, _ = passage()

    assert through.take(FIRST + ERROR, 101.0) == FIRST + ERROR
    assert through.has_failed
    assert not through.is_complete


def test_an_event_that_cannot_be_read_passes_and_is_noted():
    through, _ = passage()

    assert through.take(UNREADABLE + DONE, 101.0) == UNREADABLE + DONE
    assert through.has_unreadable
    assert through.is_complete


@pytest.mark.parametrize(
    ("rest", "is_complete"), [(b"data: [DONE]", True), (b"data: [DONE]\n", True), (b": bye", False)]
)
def test_what_is_left_at_the_end_passes_and_is_read(rest: bytes, is_complete: bool):  # noqa: FBT001 - a table's column
    through, _ = passage()
    through.take(FIRST + rest, 101.0)

    assert through.rest(102.0) == rest
    assert through.is_complete is is_complete
    assert through.rest(103.0) == b""


def test_usage_is_withheld_at_the_end_too():
    through, exchange = passage(withholds_usage=True)
    through.take(FIRST + USAGE.rstrip(), 101.0)

    assert through.rest(102.0) == b""
    assert exchange.settle("ok", 103.0, status=200).input_tokens == 7


def test_an_event_without_end_is_refused_after_the_whole_ones_before_it_have_passed():
    through, _ = passage()
    endless = b"x" * (MAX_EVENT_BYTES + 1)

    assert through.take(FIRST + endless, 101.0) == FIRST
    with pytest.raises(OversizedEventError):
        through.take(b"x", 102.0)


def test_an_event_of_the_largest_size_passes():
    through, _ = passage()
    filled = b"x" * MAX_EVENT_BYTES

    assert through.take(filled, 101.0) == b""
    assert through.take(b"\n\n", 102.0) == filled + b"\n\n"


@given(
    st.lists(st.sampled_from([FIRST, LAST, USAGE, DONE, COMMENT, ERROR, UNREADABLE]), max_size=8),
    st.lists(st.integers(0, 400), max_size=8),
    st.booleans(),
)
def test_however_the_stream_is_cut_the_caller_gets_all_of_it_but_withheld_usage(
    events: list[bytes],
    places: list[int],
    withholds_usage: bool,  # noqa: FBT001 - drawn, not chosen
):
    stream = b"".join(events)
    ends = sorted(min(place, len(stream)) for place in places)
    through, _ = passage(withholds_usage=withholds_usage)

    passed = [through.take(stream[a:b], 101.0) for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]

    kept = [each for each in events if not (withholds_usage and each is USAGE)]
    assert b"".join(passed) + through.rest(102.0) == b"".join(kept)
    assert through.is_complete == (DONE in events)
    assert through.has_failed == (ERROR in events)
    assert through.has_unreadable == (UNREADABLE in events)
