"""Bring an upstream's answer to the caller: whole, streamed event by event, or, when it is too large to hold, as bytes.

In each form the record is appended before the caller can know that the answer is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import TypedDict, Unpack

from analytics.record import Outcome
from gateway.errors import ApiError, UpstreamError, UpstreamTimeoutError, error_event
from gateway.proxy import reply
from gateway.proxy.answered import headers_back, is_media, is_stream, length_back
from gateway.proxy.caller import Connection, Header
from gateway.proxy.endpoints import Endpoint
from gateway.proxy.entry import Entry
from gateway.proxy.exchange import outcome_of
from gateway.proxy.passage import OversizedEventError, Passage
from gateway.proxy.pulse import Pulse
from gateway.proxy.upstream import Answer, BrokenFault, Fault, StalledFault

HELD_BYTES = 8 * 1024 * 1024
"""The largest answer that is held back whole to read its usage; larger ones pass as they come."""

_END_BYTES = 4096
"""How much of a larger answer's end is kept to look for its usage."""
_OF_THE_STREAM = frozenset({b"content-type", b"cache-control"})
_OVERSIZED, _CLOSED_EARLY = "oversized_event", "closed_early"
_MALFORMED = frozenset({"broken_http", "compressed", _OVERSIZED})
"""Faults of bytes that came and could not be read, other than of a connection that ended."""
_DRAIN_S = 1.0
"""How long the end of a complete answer is waited for; after it, a new connection is cheaper than this one."""


class Passing(TypedDict):
    """How an answer is passed on: by its endpoint.

    A stream: without the usage chunk, with a comment after so much silence, and until so many events have said that
    they are the last.
    """

    endpoint: Endpoint
    withholds_usage: bool
    comment_s: float
    last_events: int


async def relay(
    connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header], passing: Passing
) -> None:
    """Hand an answer on, in the form that it has; raises `Fault`, or `ApiError`, before anything was sent."""
    if is_stream(answer):
        entry.exchange.learn(stream=True)
        await relay_stream(connection, answer, entry, headers, **passing)
    elif passing["endpoint"].is_media and is_media(answer):
        await relay_media(connection, answer, entry, headers)
    else:
        ends = passing["endpoint"].ends_with_usage
        await relay_whole(connection, answer, entry, headers, ends_with_usage=ends)


async def relay_whole(
    connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header], *, ends_with_usage: bool = False
) -> None:
    """Read the whole answer, record it, send it with its latency and cost; raises `Fault`.

    Of one that is too large to hold, the usage is read where it stands at the end.
    """
    pieces: list[bytes] = []
    held_bytes = 0
    while piece := await answer.chunk():
        pieces.append(piece)
        held_bytes += len(piece)
        if held_bytes > HELD_BYTES:
            kept_bytes = _END_BYTES if ends_with_usage else 0
            return await _relay_bytes(connection, answer, entry, headers, b"".join(pieces), kept_bytes)
    entry.received()
    body = b"".join(pieces)
    read = reply.read(body)
    entry.exchange.saw_answer(read)
    outcome, error_class = outcome_of(answer.status)
    if outcome == "ok" and read is None:
        outcome, error_class = "malformed", "not_json"
    elif outcome == "ok" and read is not None and read.has_failed_status:
        outcome, error_class = "upstream_error", "response_failed"
    record = entry.close(outcome, status=answer.status, error_class=error_class)
    measured = [(b"x-turnout-latency-ms", b"%.1f" % (record.latency_ms or 0.0))]
    if record.cost_usd is not None:
        measured.append((b"x-turnout-cost-usd", b"%.9f" % record.cost_usd))
    length = (b"content-length", b"%d" % len(body))
    await connection.start(answer.status, [*headers_back(answer), length, *headers, *measured])
    return await connection.finish(body)


async def relay_media(connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header]) -> None:
    """Pass bytes on as they come, but for the last one, which waits for the record; raises `Fault`."""
    received = await answer.chunk()
    if received:
        entry.exchange.saw_bytes(entry.now())
    await _relay_bytes(connection, answer, entry, headers, received)


async def _relay_bytes(
    connection: Connection,
    answer: Answer,
    entry: Entry,
    headers: Sequence[Header],
    received: bytes,
    kept_bytes: int = 0,
) -> None:
    length = length_back(answer)
    await connection.start(answer.status, [*headers_back(answer), *length, *headers])
    held = end = b""
    try:
        while received:
            if kept_bytes:
                end = (end + received[-kept_bytes:])[-kept_bytes:]
            passed, held = (held + received[:-1], received[-1:]) if length else (received, b"")
            if passed:
                await connection.write(passed)
            received = await answer.chunk()
    except Fault as fault:
        entry.close(_outcome(fault), status=answer.status, error_class=fault.kind)
        raise
    entry.received()
    entry.exchange.saw_answer(reply.read_end(end))
    outcome, error_class = outcome_of(answer.status)
    entry.close(outcome, status=answer.status, error_class=error_class)
    await connection.finish(held)


async def relay_stream(
    connection: Connection, answer: Answer, entry: Entry, headers: Sequence[Header], **passing: Unpack[Passing]
) -> None:
    """Pass events on as they complete; after a failure, the endpoint's error event and no `[DONE]`.

    The head goes out with the first event that is no error, or with the first comment. What fails before that raises
    `Fault` or `ApiError`, and leaves the caller to be told.
    """
    passage = Passage(entry.exchange, withholds_usage=passing["withholds_usage"], last_events=passing["last_events"])
    stream = _Stream(connection, answer, entry, passage)
    connection.prepare(answer.status, [*headers_back(answer), *headers])
    try:
        with Pulse(connection, entry.now, passing["comment_s"]) as pulse:
            await stream.pass_all(pulse)
        entry.received()
        if passage.is_complete:
            await stream.pass_rest()
        else:
            await stream.end_early(is_whole=not passing["last_events"])
    except Fault as fault:
        if not connection.started:
            raise
        await stream.break_off(_outcome(fault), fault.kind, passing["endpoint"])
    await connection.finish()


class _Stream:
    """One stream on its way to one caller; `_held` is what came before the answer began: comments, mostly."""

    __slots__ = ("_answer", "_connection", "_entry", "_held", "_passage")

    def __init__(self, connection: Connection, answer: Answer, entry: Entry, passage: Passage) -> None:
        self._connection = connection
        self._answer = answer
        self._entry = entry
        self._passage = passage
        self._held = b""

    async def pass_all(self, pulse: Pulse) -> None:
        """Pass events on until `[DONE]` or the upstream's end."""
        entry, passage = self._entry, self._passage
        while not passage.is_complete and (received := await self._answer.chunk()):
            now = entry.now()
            try:
                passed = passage.take(received, now)
            except OversizedEventError:
                raise BrokenFault(_OVERSIZED) from None
            if passed and (passage.has_begun or self._connection.started):
                pulse.wrote_at = now
            await self._pass_on(passed)

    async def _pass_on(self, passed: bytes) -> None:
        passage, connection = self._passage, self._connection
        if passage.first_error is not None and not connection.started:
            raise FirstEventError(passage.first_error, self._answer)
        if passage.has_failed:
            self._entry.close("upstream_error", status=self._answer.status, error_class=passage.error_class)
        elif passage.is_complete:
            self._close_complete()
        if not (passage.has_begun or connection.started):
            self._held += passed
        elif passed:
            held, self._held = self._held, b""
            await connection.write(held + passed if held else passed)

    def _close_complete(self) -> None:
        self._entry.received()
        if self._passage.has_unreadable:
            self._entry.close("malformed", status=self._answer.status, error_class="not_json")
        else:
            self._entry.close("ok", status=self._answer.status)

    async def pass_rest(self) -> None:
        """Pass on what comes behind the end, hardly ever anything, until the upstream ends too; not for long.

        Then its connection can be used again. A caller who leaves now had all that it was promised.
        """
        self._connection.unwatch()
        passage, now = self._passage, self._entry.now()
        with contextlib.suppress(Fault, TimeoutError, OversizedEventError):
            async with asyncio.timeout(_DRAIN_S):
                while received := await self._answer.chunk():
                    if passed := passage.take(received, now):
                        await self._connection.write(passed)
        if rest := passage.rest(now):
            await self._connection.write(rest)

    async def end_early(self, *, is_whole: bool) -> None:
        """The upstream ended without saying so: whole if that may be, or the model said why; else broken off."""
        passage = self._passage
        rest = passage.rest(self._entry.now())
        if is_whole or passage.is_complete or passage.has_failed or self._entry.exchange.has_finished:
            if not passage.has_failed:
                self._close_complete()
            await self._pass_on(rest)
        else:
            raise BrokenFault(_CLOSED_EARLY)

    async def break_off(self, outcome: Outcome, error_class: str, endpoint: Endpoint) -> None:
        """Tell the caller of a stream that has begun that no more comes."""
        self._entry.close(outcome, status=self._answer.status, error_class=error_class)
        code = "upstream_timeout" if outcome == "timeout" else "upstream_error"
        message = f"The model's answer broke off ({error_class}); what was sent so far is incomplete."
        sequence = self._passage.sequence + 1 if endpoint.has_typed_errors else None
        await self._connection.write(error_event(message, code, sequence))


class FirstEventError(UpstreamError):
    """A stream that began with an error event: nothing was sent yet, so that the caller gets it as an error's body."""

    def __init__(self, content: bytes, answer: Answer) -> None:
        super().__init__("The model's answer began with an error.", error_class="error_event")
        self._content = content
        self.headers = tuple(header for header in headers_back(answer) if header[0] not in _OF_THE_STREAM)

    def envelope(self) -> bytes:
        """Return what the upstream said."""
        return self._content


def unanswered(fault: Fault) -> ApiError:
    """Return what the caller is told of a fault before the answer began."""
    if isinstance(fault, StalledFault):
        message = f"The model did not answer in time ({fault.kind}). Try again, or ask the operator."
        return UpstreamTimeoutError(message, error_class=fault.kind)
    message = f"The model's server could not answer ({fault.kind}). Try again, or ask the operator."
    error = UpstreamError(message, error_class=fault.kind)
    error.outcome = _outcome(fault)
    return error


def _outcome(fault: Fault) -> Outcome:
    if isinstance(fault, StalledFault):
        return "timeout"
    return "malformed" if fault.kind in _MALFORMED else "upstream_error"
