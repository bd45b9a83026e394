"""A request's place in a trace: what its upstream is told, and what is recorded."""

from __future__ import annotations

import pytest

from analytics.trace import attempt_span_id, is_sampled
from gateway.proxy.snapshot import View
from tests.fakes.proxy import AUTHORIZED, WHOLE, decisions, request

pytestmark = pytest.mark.anyio
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTINUED = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())


async def test_a_callers_trace_goes_on_through_us_to_the_upstream():
    done = await request(WHOLE, headers=[AUTHORIZED, CONTINUED, (b"tracestate", b"vendor=canary")])

    (call,), record, (opened,) = done.upstream.calls, done.record, done.journal.opened
    assert (record.trace_id, record.parent_span_id) == (TRACE, PARENT)
    assert record.span_id not in {None, PARENT}
    assert (opened.trace_id, opened.span_id, opened.parent_span_id) == (TRACE, record.span_id, PARENT)
    assert call.headers["traceparent"] == f"00-{TRACE}-{attempt_span_id(record.span_id or '', 1)}-01"
    assert "tracestate" not in call.headers


@pytest.mark.parametrize("header", [[], [(b"traceparent", b"00-nothing")], [CONTINUED, CONTINUED]])
async def test_without_a_trace_none_is_made_up(header: list[tuple[bytes, bytes]]):
    done = await request(WHOLE, headers=[AUTHORIZED, *header])

    (call,), record = done.upstream.calls, done.record
    assert (record.trace_id, record.span_id, record.parent_span_id) == (None, None, None)
    assert "traceparent" not in call.headers


@pytest.mark.parametrize(("share", "is_wanted"), [(1.0, True), (0.0, False)])
async def test_where_spans_are_exported_a_trace_begins_here(share: float, is_wanted: bool):  # noqa: FBT001 - a parameter of the test
    view = View(decisions=decisions(), source="ledger", trace_share=share)
    done = await request(WHOLE, view=view)

    (call,), record = done.upstream.calls, done.record
    assert record.span_id is not None
    assert record.parent_span_id is None
    assert is_sampled(record.span_id) is is_wanted
    span_id = attempt_span_id(record.span_id, 1)
    assert call.headers["traceparent"] == f"00-{record.trace_id}-{span_id}-0{int(is_wanted)}"


async def test_who_is_not_let_in_continues_no_trace():
    done = await request(WHOLE, headers=[(b"authorization", b"Bearer nobody"), CONTINUED])

    assert (done.record.status, done.record.trace_id) == (401, None)
