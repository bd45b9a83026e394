from __future__ import annotations

import asyncio

import pytest

from gateway.proxy.passage import MAX_EVENT_BYTES
from gateway.proxy.relay import HELD_BYTES, FirstEventError
from gateway.proxy.upstream import BrokenFault, Fault, RefusedFault, StalledFault
from tests.fakes.proxy import (
    DONE,
    EVENTS,
    JSON,
    USAGE,
    WHOLE,
    delta,
)
from tests.fakes.relayed import Relayed

pytestmark = pytest.mark.anyio


async def test_a_whole_answer_is_recorded_before_its_first_byte():
    relayed = await Relayed(WHOLE[:10], WHOLE[10:], headers=[JSON, (b"content-length", b"1")]).whole()

    record = relayed.journal.record
    assert relayed.caller.body == WHOLE
    assert relayed.ending == ("ok", 200, None)
    assert (record.response_id, record.input_tokens, record.output_tokens) == ("c1", 5000, 2000)
    assert record.cost_usd == pytest.approx(0.009)
    assert relayed.is_closed_before("start")
    assert relayed.caller.headers == {
        "content-type": "application/json",
        "content-length": str(len(WHOLE)),
        "x-request-id": "r1",
        "x-turnout-latency-ms": f"{record.latency_ms:.1f}",
        "x-turnout-cost-usd": "0.009000000",
    }


async def test_an_unknown_cost_is_left_out_of_the_headers():
    relayed = await Relayed(b'{"id":"c1"}').whole()

    assert relayed.journal.record.cost_unknown == "no_usage"
    assert "x-turnout-cost-usd" not in relayed.caller.headers


@pytest.mark.parametrize("body", [b"", b"<html>canary</html>", b'{"id":', b"[1]", b"\xff"])
async def test_an_answer_that_is_no_json_object_is_passed_on_and_recorded_as_malformed(body: bytes):
    relayed = await Relayed(body).whole()

    assert relayed.caller.body == body
    assert relayed.ending == ("malformed", 200, "not_json")


@pytest.mark.parametrize(
    ("status", "outcome", "error_class"),
    [
        (201, "ok", None),
        (302, "upstream_error", "http_302"),
        (400, "client_error", "http_400"),
        (401, "upstream_error", "http_401"),
        (404, "upstream_error", "http_404"),
        (422, "client_error", "http_422"),
        (429, "upstream_error", "http_429"),
        (500, "upstream_error", "http_500"),
        (529, "upstream_error", "http_529"),
    ],
)
async def test_an_upstreams_status_is_passed_on_and_decides_the_outcome(
    status: int, outcome: str, error_class: str | None
):
    body = b'{"id":"c1"}' if outcome == "ok" else b'{"error":{"message":"no"}}'
    relayed = await Relayed(body, status=status).whole()

    assert relayed.caller.status == status
    assert relayed.caller.body == body
    assert relayed.ending == (outcome, status, error_class)


async def test_an_error_page_keeps_its_status_as_the_reason():
    assert (await Relayed(b"<html>", status=503).whole()).ending == ("upstream_error", 503, "http_503")


async def test_an_answer_too_large_to_hold_passes_as_it_comes():
    piece = b"x" * 1024 * 1024
    relayed = await Relayed(*[piece] * 10, headers=[JSON]).whole()

    assert len(relayed.caller.body) == 10 * len(piece)
    assert relayed.ending == ("ok", 200, None)
    assert relayed.is_closed_before("finish")
    assert "content-length" not in relayed.caller.headers


async def test_an_answer_of_exactly_what_is_held_is_read_for_its_usage():
    body = WHOLE + b" " * (HELD_BYTES - len(WHOLE))

    assert (await Relayed(body).whole()).journal.record.input_tokens == 5000
    assert (await Relayed(body + b" ").whole()).journal.record.input_tokens is None


async def test_a_large_answer_that_breaks_off_is_recorded_as_broken():
    relayed = Relayed(b"x" * (HELD_BYTES + 1), b"y", BrokenFault("connection_lost"))

    with pytest.raises(BrokenFault):
        await relayed.whole()
    assert relayed.ending == ("upstream_error", 200, "connection_lost")
    assert not relayed.caller.is_finished


@pytest.mark.parametrize("fault", [StalledFault("idle"), BrokenFault("broken_http")])
async def test_a_whole_answer_that_breaks_off_leaves_the_caller_to_be_told(fault: Fault):
    relayed = Relayed(b'{"id"', fault)

    with pytest.raises(type(fault)):
        await relayed.whole()
    assert not relayed.caller.sent
    assert len(relayed.journal.frames) == 1


async def test_a_stream_is_recorded_before_its_last_event():
    relayed = await Relayed(delta("a"), delta("b", finish_reason="stop"), USAGE, DONE, headers=[EVENTS]).stream()

    record = relayed.journal.record
    assert relayed.caller.body == delta("a") + delta("b", finish_reason="stop") + DONE
    assert relayed.ending == ("ok", 200, None)
    assert (record.finish_reason, record.input_tokens, record.usage_source) == ("stop", 5, "reported")
    assert record.ttft_ms is not None
    assert record.output_ms is not None
    assert relayed.is_closed_before("write")
    assert relayed.caller.is_finished


async def test_done_in_the_same_bytes_as_the_rest_is_recorded_before_anything_of_them_is_sent():
    relayed = await Relayed(delta() + USAGE + DONE).stream()

    assert relayed.moments.seen == ["opened", "chunk 1", "closed ok", "start", "write", "chunk 2", "finish"]


@pytest.mark.parametrize(
    "after", [[b": bye\n\n"], [b"data: {}\n", b"\n"], [b": bye"], [DONE, DONE[:3]], [USAGE[:9], USAGE[9:]]]
)
async def test_what_comes_behind_the_end_passes_wherever_it_is_cut(after: list[bytes]):
    together = await Relayed(delta(), DONE + b"".join(after)).stream()
    apart = await Relayed(delta(), DONE, *after).stream()

    due = b"".join(after).replace(USAGE, b"")
    assert together.caller.body == apart.caller.body == delta() + DONE + due
    assert together.ending == apart.ending == ("ok", 200, None)
    assert apart.is_closed_before("write")


async def test_an_event_behind_the_end_that_never_ends_holds_nothing_up():
    endless = b"x" * (MAX_EVENT_BYTES + 1)

    relayed = await Relayed(delta(), DONE, endless, DONE).stream()

    assert relayed.ending == ("ok", 200, None)
    assert relayed.caller.body.startswith(delta() + DONE)
    assert relayed.caller.is_finished


async def test_a_usage_chunk_that_the_caller_asked_for_is_passed_on():
    relayed = await Relayed(delta(), USAGE, DONE).stream(withholds_usage=False)

    assert relayed.caller.body == delta() + USAGE + DONE


async def test_a_stream_without_done_is_whole_when_the_model_said_why_it_ended():
    relayed = await Relayed(delta("a"), delta("b", finish_reason="stop")).stream()

    assert relayed.ending == ("ok", 200, None)
    assert relayed.caller.body.endswith(delta("b", finish_reason="stop"))
    assert relayed.is_closed_before("finish")


async def test_a_last_event_without_its_empty_line_is_passed_on():
    relayed = await Relayed(delta(), DONE[:-1]).stream()

    assert relayed.caller.body == delta() + DONE[:-1]
    assert relayed.ending == ("ok", 200, None)
    assert relayed.is_closed_before("write")


async def test_a_stream_that_ends_in_the_middle_is_told_to_the_caller():
    relayed = await Relayed(delta("a"), delta("b"), b'data: {"id').stream()

    assert relayed.ending == ("upstream_error", 200, "closed_early")
    assert relayed.journal.record.output_tokens == 2
    assert relayed.journal.record.usage_source == "estimated"
    assert relayed.caller.body.startswith(delta("a") + delta("b") + b"data: {")
    assert relayed.last_event["error"]["code"] == "upstream_error"
    assert DONE not in relayed.caller.body
    assert relayed.caller.is_finished
    assert relayed.is_closed_before("write")


@pytest.mark.parametrize("steps", [(), (b"data: {",), (b": comment\n\n",), (USAGE,)])
async def test_a_stream_that_ends_before_its_first_event_leaves_the_caller_to_be_told(steps: tuple[bytes, ...]):
    relayed = Relayed(*steps)

    with pytest.raises(BrokenFault, match="closed_early"):
        await relayed.stream()
    assert not relayed.caller.sent


@pytest.mark.parametrize("fault", [StalledFault("first_byte"), BrokenFault("connection_lost")])
async def test_a_stream_that_breaks_before_its_first_event_leaves_the_caller_to_be_told(fault: Fault):
    relayed = Relayed(b": comment\n\n", b"data: {", fault)

    with pytest.raises(type(fault)):
        await relayed.stream()
    assert not relayed.caller.sent


async def test_comments_before_the_first_event_wait_for_it():
    relayed = await Relayed(b": one\n\n", b": two\n\n", delta(), DONE).stream()

    assert relayed.caller.body == b": one\n\n: two\n\n" + delta() + DONE
    assert relayed.moments.seen.index("start") > relayed.moments.seen.index("chunk 3")


@pytest.mark.parametrize(
    ("fault", "ending", "code"),
    [
        (StalledFault("idle"), ("timeout", 200, "idle_timeout"), "upstream_timeout"),
        (StalledFault("total"), ("timeout", 200, "total_timeout"), "upstream_timeout"),
        (BrokenFault("connection_lost"), ("upstream_error", 200, "connection_lost"), "upstream_error"),
        (BrokenFault("broken_http"), ("malformed", 200, "broken_http"), "upstream_error"),
        (RefusedFault("connect_refused"), ("upstream_error", 200, "connect_refused"), "upstream_error"),
    ],
)
async def test_a_stream_that_breaks_ends_with_an_error_event_and_no_done(
    fault: Fault, ending: tuple[str, int, str], code: str
):
    relayed = await Relayed(delta("a"), fault).stream()

    assert relayed.ending == ending
    assert relayed.caller.body.startswith(delta("a"))
    assert relayed.last_event["error"] == {
        "message": f"The model's answer broke off ({ending[2]}); what was sent so far is incomplete.",
        "type": "server_error",
        "param": None,
        "code": code,
    }
    assert DONE not in relayed.caller.body
    assert relayed.is_closed_before("write")


async def test_a_stalled_upstream_is_not_waited_for_a_second_time():
    relayed = await Relayed(delta(), StalledFault("idle")).stream()

    assert [moment for moment in relayed.moments.seen if moment.startswith("chunk")] == ["chunk 1", "chunk 2"]


async def test_the_end_of_a_complete_stream_is_waited_for_a_moment_only():
    relayed = Relayed(DONE)
    relayed.moments.leave_at = "chunk 2"

    async with asyncio.timeout(10):
        await relayed.stream()

    assert relayed.ending == ("ok", 200, None)
    assert relayed.caller.is_finished


async def test_a_fault_after_done_changes_nothing():
    assert (await Relayed(DONE, BrokenFault("connection_lost")).stream()).ending == ("ok", 200, None)


ERROR = b'data: {"error":{"message":"overloaded","code":529}}\n\n'


@pytest.mark.parametrize("steps", [(ERROR,), (ERROR[:-1],), (b": comment\n\n" + ERROR + delta() + DONE,)])
async def test_an_error_as_the_first_event_becomes_the_body_of_an_error(steps: tuple[bytes, ...]):
    relayed = Relayed(*steps, headers=[EVENTS, (b"retry-after", b"7")])

    with pytest.raises(FirstEventError) as caught:
        await relayed.stream()

    assert not relayed.caller.sent
    assert caught.value.envelope() == ERROR[6:].strip()
    assert (caught.value.status, caught.value.outcome) == (502, "upstream_error")
    assert caught.value.error_class == "error_event"
    assert caught.value.headers == ((b"retry-after", b"7"),)


async def test_an_error_behind_the_first_event_in_the_same_bytes_is_passed_on():
    relayed = await Relayed(delta() + ERROR).stream()

    assert relayed.caller.body == delta() + ERROR
    assert relayed.ending == ("upstream_error", 200, "error_event")


async def test_an_error_in_mid_stream_is_an_error_even_before_done():
    relayed = await Relayed(delta(), ERROR, delta(), DONE).stream()

    assert relayed.caller.body == delta() + ERROR + delta() + DONE
    assert relayed.ending == ("upstream_error", 200, "error_event")


async def test_an_error_as_the_unfinished_last_event_is_recorded_before_it_is_passed_on():
    relayed = await Relayed(delta(), ERROR[:-1]).stream()

    assert relayed.caller.body == delta() + ERROR[:-1]
    assert relayed.ending == ("upstream_error", 200, "error_event")
    assert relayed.is_closed_before("write")


async def test_events_that_are_no_json_are_passed_on_and_make_the_answer_malformed():
    relayed = await Relayed(b"data: <html>\n\n", delta(), DONE).stream()

    assert relayed.caller.body == b"data: <html>\n\n" + delta() + DONE
    assert relayed.ending == ("malformed", 200, "not_json")


async def test_an_event_that_never_ends_is_broken_off():
    relayed = await Relayed(delta(), *[b"data: " + b"x" * 4 * 1024 * 1024] * 5, b"never read").stream()

    assert relayed.ending == ("malformed", 200, "oversized_event")
    assert len(relayed.caller.body) < 1000
    assert relayed.last_event["error"]["code"] == "upstream_error"
    assert "chunk 7" not in relayed.moments.seen


async def test_comments_and_carriage_returns_are_passed_on_as_they_are():
    events = b": ping\r\n\r\n" + delta().replace(b"\n", b"\r\n") + b"event: x\rdata: [DONE]\r\r\n"
    relayed = await Relayed(*[events[at : at + 1] for at in range(len(events))]).stream()

    assert relayed.caller.body == events
    assert relayed.ending == ("ok", 200, None)


async def test_nothing_is_written_for_bytes_that_complete_no_event():
    relayed = await Relayed(b"data: [D", b"ONE]", b"\n", b"\n").stream()

    assert relayed.moments.seen.count("write") == 1
