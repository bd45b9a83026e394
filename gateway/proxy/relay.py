"""Bring an upstream's answer to the caller: whole, streamed event by event, or, when it is too large to hold, as bytes.

In each form the record is appended before the caller can know that the answer is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypedDict, Unpack

import msgspec

from analytics.record import Outcome
from gateway.errors import ApiError, UpstreamError, UpstreamTimeoutError
from gateway.proxy import wire
from gateway.proxy.caller import Connection, Header
from gateway.proxy.entry import Entry
from gateway.proxy.exchange import outcome_of
from gateway.proxy.passage import OversizedEventError, Passage
from gateway.proxy.pulse import Pulse
from gateway.proxy.upstream import Answer, BrokenFault, Fault, StalledFault

HELD_BYTES = 8 * 1024 * 1024
"""The largest answer that is held back whole to read its usage; larger ones pass as they come."""

_BACK = frozenset(
    {
        b"content-type",
        b"content-disposition",
        b"cache-control",
        b"retry-after",
        b"retry-after-ms",
        b"x-should-retry",
        b"openai-processing-ms",
        b"openai-version",
    }
)
_BACK_PREFIX = b"x-ratelimit-"
_EVENT_STREAM = b"text/event-stream"
_DRAIN_S = 1.0
"""How long the end of a complete answer is waited for; after it, a new connection is cheaper than this one."""


class Passing(TypedDict):
    """How a stream is passed on: without the usage chunk; a comment after so much silence."""

    withholds_usage: bool
    comment_s: float


def is_stream(answer: Answer) -> bool:
    """Tell whether the upstream answers with server-sent events; an error is read whole, whatever its type says."""
    return answer.status < 300 and any(
        name == b"content-type" and value.startswith(_EVENT_STREAM) for name, value in answer.headers
    )


def headers_back(answer: Answer) -> list[Header]:
    """Return the upstream's headers that reach the caller; its own request id under another name."""
    kept = [(name, value) for name, value in answer.headers if name in _BACK or name.startswith(_BACK_PREFIX)]
    kept.extend((b"x-upstream-request-id", value) for name, value in answer.headers if name == b"x-request-id")
    return kept


async def relay_whole(connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header]) -> None:
    """Read the whole answer, record it, send it with its latency and cost; raises `Fault`."""
    pieces: list[bytes] = []
    held_bytes = 0
    while piece := await answer.chunk():
        pieces.append(piece)
        held_bytes += len(piece)
        if held_bytes > HELD_BYTES:
            return await _relay_bytes(connection, answer, entry, headers, b"".join(pieces))
    entry.received()
    body = b"".join(pieces)
    read = wire.answer(body)
    entry.exchange.saw_answer(read)
    outcome, error_class = outcome_of(answer.status)
    if outcome == "ok" and read is None:
        outcome, error_class = "malformed", "not_json"
    record = entry.close(outcome, status=answer.status, error_class=error_class)
    measured = [(b"x-turnout-latency-ms", b"%.1f" % (record.latency_ms or 0.0))]
    if record.cost_usd is not None:
        measured.append((b"x-turnout-cost-usd", b"%.9f" % record.cost_usd))
    length = (b"content-length", b"%d" % len(body))
    await connection.start(answer.status, [*headers_back(answer), length, *headers, *measured])
    return await connection.finish(body)


async def _relay_bytes(
    connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header], held: bytes
) -> None:
    await connection.start(answer.status, [*headers_back(answer), *headers])
    try:
        while piece := await answer.chunk():
            await connection.write(held)
            held = piece
    except Fault as fault:
        entry.close(_outcome(fault), status=answer.status, error_class=fault.kind)
        raise
    entry.received()
    outcome, error_class = outcome_of(answer.status)
    entry.close(outcome, status=answer.status, error_class=error_class)
    await connection.finish(held)


async def relay_stream(
    connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header], **passing: Unpack[Passing]
) -> None:
    """Pass events on as they complete; after a failure, the endpoint's error event and no `[DONE]`."""
    passage = Passage(entry.exchange, withholds_usage=passing["withholds_usage"])
    await connection.start(answer.status, [*headers_back(answer), *headers])
    await connection.write(b"")
    try:
        with Pulse(connection, entry.now, passing["comment_s"]) as pulse:
            await _pass_all(connection, answer, entry, passage, pulse)
        entry.received()
        if not passage.is_complete:
            await _end_early(connection, entry, passage)
    except Fault as fault:
        await _break_off(connection, entry, _outcome(fault), fault.kind)
    except OversizedEventError:
        await _break_off(connection, entry, "malformed", "oversized_event")
    await connection.finish()
    if passage.is_complete:
        await _drain(answer)


async def _pass_all(connection: Connection, answer: Answer, entry: Entry, passage: Passage, pulse: Pulse) -> None:
    while not passage.is_complete and (received := await answer.chunk()):
        now = entry.now()
        passed = passage.take(received, now)
        if passed:
            pulse.wrote_at = now
        await _pass_on(connection, entry, passage, passed)


async def _pass_on(connection: Connection, entry: Entry, passage: Passage, passed: bytes) -> None:
    if passage.has_failed:
        entry.close("upstream_error", status=connection.status, error_class="error_event")
    elif passage.is_complete:
        _close_complete(entry, passage, connection.status)
    if passed:
        await connection.write(passed)


def _close_complete(entry: Entry, passage: Passage, status: int | None) -> None:
    entry.received()
    if passage.has_unreadable:
        entry.close("malformed", status=status, error_class="not_json")
    else:
        entry.close("ok", status=status)


async def _end_early(connection: Connection, entry: Entry, passage: Passage) -> None:
    """The upstream ended without `[DONE]`: whole if the model said why it ended, broken off otherwise."""
    rest = passage.rest(entry.now())
    if passage.is_complete or passage.has_failed or entry.exchange.has_finished:
        if not passage.has_failed:
            _close_complete(entry, passage, connection.status)
        await _pass_on(connection, entry, passage, rest)
    else:
        await _break_off(connection, entry, "upstream_error", "closed_early")


async def _break_off(connection: Connection, entry: Entry, outcome: Outcome, error_class: str) -> None:
    entry.close(outcome, status=connection.status, error_class=error_class)
    code = "upstream_timeout" if outcome == "timeout" else "upstream_error"
    message = f"The model's answer broke off ({error_class}); what was sent so far is incomplete."
    error = {"message": message, "type": "server_error", "param": None, "code": code}
    await connection.write(b"data: " + msgspec.json.encode({"error": error}) + b"\n\n")


async def _drain(answer: Answer) -> None:
    """Read the end of a complete answer, so that its connection can be used again; more than the end is not awaited."""
    with contextlib.suppress(Fault, TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            await answer.chunk()


def unanswered(fault: Fault) -> ApiError:
    """Return what the caller is told of a fault before the answer began."""
    if isinstance(fault, StalledFault):
        message = f"The model did not answer in time ({fault.kind}). Try again, or ask the operator."
        return UpstreamTimeoutError(message, error_class=fault.kind)
    message = f"The model's server could not answer ({fault.kind}). Try again, or ask the operator."
    return UpstreamError(message, error_class=fault.kind)


def _outcome(fault: Fault) -> Outcome:
    if isinstance(fault, StalledFault):
        return "timeout"
    return "malformed" if isinstance(fault, BrokenFault) and fault.kind == "broken_http" else "upstream_error"
