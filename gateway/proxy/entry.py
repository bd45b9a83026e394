"""One request's entry in the journal: opened before anything is sent, closed once, before the answer is complete."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from typing import Protocol

from analytics.content import Content
from analytics.record import Frame, Outcome, Record, uuid7
from analytics.trace import HEADER, NOISE_BYTES, begun, continued, traceparent
from gateway.proxy.attempts import Failure
from gateway.proxy.budget import Budget
from gateway.proxy.capture import Tap
from gateway.proxy.exchange import Called, Exchange
from gateway.proxy.limits import Slots
from gateway.proxy.purse import Aside

Ticket = asyncio.Future[None]
"""What a request waits for in line."""
Held = Slots[Ticket] | Aside
"""A part of a limit that a request has taken; it is given back once, when the request is recorded."""
Clock = Callable[[], float]
"""Monotonic seconds."""

_MICROSECONDS = 1_000_000
_TOLD = (
    *("request_id", "application", "rollout", "model_requested", "model_served", "arm_served", "stream"),
    *("outcome", "status", "error_class", "latency_ms", "ttft_ms"),
)
"""What a log at level debug tells of each request; never its user, its key or its words."""

_log = logging.getLogger("turnout.proxy")


class Journal(Protocol):
    """Where frames go; `append` neither blocks nor raises, and counts what it loses."""

    def next_seq(self) -> int:
        """Return the next request's number in this boot: 1, 2, 3 ..."""
        ...

    def append(self, frame: Frame) -> None:
        """Write one frame."""
        ...

    def append_content(self, content: Content) -> bool:
        """Write one frame of content now, or drop it and return False."""
        ...


class Tally(Protocol):
    """What a worker counts of its requests for its status page."""

    def began(self) -> None:
        """Count a request in flight."""
        ...

    def assigned(self, *, anonymous: bool) -> None:
        """Count a request that a flag decided, with or without a user key."""
        ...

    def ended(self) -> None:
        """Count it out again."""
        ...

    def lost_content(self) -> None:
        """Count one piece of content that is nowhere."""
        ...


def new_request_id(now_us: int) -> str:
    """Return a fresh UUIDv7."""
    return uuid7(now_us, os.urandom(10))


class Entry:
    """One request, from its head to its record; `held` is what it has taken of limits, `tap` keeps its content.

    `budget` pays for further tries of it; `trying` is which kind of them is under way.
    """

    __slots__ = (
        "_clock",
        "_journal",
        "_tally",
        "_total_s",
        "budget",
        "exchange",
        "held",
        "request_id",
        "tap",
        "trying",
    )

    def __init__(self, journal: Journal, tally: Tally, endpoint: str, clock: Clock = time.monotonic) -> None:
        now_us = time.time_ns() // 1000
        self._journal = journal
        self._tally = tally
        self._clock = clock
        self._total_s = 0.0
        self.held: tuple[Held, ...] = ()
        self.tap: Tap | None = None
        self.budget: Budget | None = None
        self.trying: int | None = None
        self.request_id = new_request_id(now_us)
        facts = {"request_id": self.request_id, "started_at": now_us, "endpoint": endpoint}
        self.exchange = Exchange(facts, clock())
        tally.began()

    def join(self, header: bytes | None, share: float | None) -> None:
        """Continue the caller's trace, or begin one if a `share` of new ones is to be sampled; None: begin none."""
        trace = None if header is None else continued(header, self.request_id)
        if trace is None and share is not None:
            trace = begun(os.urandom(NOISE_BYTES), self.request_id, share)
        if trace is not None:
            self.exchange.learn(trace_id=trace.trace_id, span_id=trace.span_id, parent_span_id=trace.parent_span_id)

    def traced(self) -> dict[str, str]:
        """Return the header by which an upstream continues the trace, if there is one: for the try that is made now."""
        facts = self.exchange.facts
        if "trace_id" not in facts:
            return {}
        return {HEADER: traceparent(facts["trace_id"], facts["span_id"], self.exchange.next_try)}

    def open(self, called: Called, total_s: float) -> None:
        """Append what is known, with the moment when `total_s` is over; then count the request as sent.

        A second call only notes that it is sent once more.
        """
        if self.exchange.is_dispatched:
            return self.exchange.dispatched(called, self._clock())
        self._total_s = total_s
        deadline_at = self.exchange.facts["started_at"] + round(total_s * _MICROSECONDS)
        self._number()
        self._journal.append(self.exchange.opened(deadline_at))
        return self.exchange.dispatched(called, self._clock())

    def left_s(self, total_s: float) -> float:
        """Return what is left of the time that all tries may take together: the first one's, or less."""
        if not self.exchange.is_dispatched:
            return total_s
        return max(min(total_s, self._total_s) - self.exchange.sent_s(self._clock()), 0.0)

    def gave_up(self, failure: Failure) -> None:
        """Note that a try brought nothing to hand on."""
        self.exchange.gave_up(failure, self._clock())

    def again(self, failure: Failure, total_s: float) -> float:
        """Note that a try failed and is made once more, with whom it failed; return the time that is left, seconds."""
        self.exchange.again(failure, self._clock())
        return self.left_s(total_s)

    def received(self) -> None:
        """Note the upstream's last byte."""
        self.exchange.received(self._clock())

    def now(self) -> float:
        """Return the moment, monotonic."""
        return self._clock()

    def close(self, outcome: Outcome, *, status: int | None, error_class: str | None = None) -> Record:
        """Settle and append the record; a second call changes nothing and returns the first record."""
        if self.exchange.record is not None:
            return self.exchange.record
        self._number()
        record = self.exchange.settle(outcome, self._clock(), status=status, error_class=error_class)
        self._journal.append(record)
        self._tally.ended()
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("request", extra=_told(record))
        return record

    def _number(self) -> None:
        """Give the request its number with its first frame: one that dies before it has any leaves no gap."""
        if "seq" not in self.exchange.facts:
            self.exchange.learn(seq=self._journal.next_seq())


def _told(record: Record) -> dict[str, object]:
    told = {name: getattr(record, name) for name in _TOLD}
    shown = {name: round(value, 1) if isinstance(value, float) else value for name, value in told.items()}
    return {name: value for name, value in shown.items() if value is not None}
