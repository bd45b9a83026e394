"""One request's timeline, settled into one record. Pure: every moment comes in as an argument, in monotonic seconds."""

from __future__ import annotations

from typing import Any

import msgspec

from analytics.pricing import Cost, Price, cost
from analytics.record import Arm, Attempt, Opened, Outcome, Record, UsageSource
from analytics.usage import UNCLEAR, Usage, reported
from gateway.proxy import reply
from gateway.proxy.attempts import Failure
from gateway.proxy.endpoints import OTHER

_MS = 1000.0
MAX_ID_CHARACTERS = 256
"""A longer id is not kept: nobody could name it, and a record has its bounds."""
MAX_REASON_CHARACTERS = 64
FAILED_STATUSES = frozenset({401, 403, 404, 408, 429})
"""4xx answers that are the upstream's or our credential's fault, not the caller's (a revoked key, a deleted model)."""


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """Whom the request is sent to: arm served, model (None: it names none), upstream and the model's price."""

    arm: Arm | None
    model: str | None
    upstream: str
    price: Price | None
    price_version: str


class Exchange:
    """What was seen of one request so far; `facts` holds what is known before it is sent, by the record's names."""

    __slots__ = (
        "_before",
        "_called",
        "_deltas",
        "_dispatched_at",
        "_finish_reason",
        "_first_at",
        "_first_sent_at",
        "_is_sent",
        "_last_at",
        "_received_at",
        "_response_id",
        "_started",
        "_tier",
        "_usage",
        "facts",
        "fallback_reason",
        "record",
        "status",
    )

    def __init__(self, facts: dict[str, Any], started: float) -> None:
        self.facts = facts
        self.status: int | None = None
        self.record: Record | None = None
        self._started = started
        self.fallback_reason: str | None = None
        self._called: Called | None = None
        self._is_sent = False
        self._before: list[Attempt] = []
        self._first_sent_at: float | None = None
        self._dispatched_at: float | None = None
        self._received_at: float | None = None
        self._first_at: float | None = None
        self._last_at: float | None = None
        self._deltas = 0
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._finish_reason: str | None = None
        self._response_id: str | None = None

    def learn(self, **facts: Any) -> None:
        """Add facts that are known before the request is sent; names are those that `Opened` and `Record` share."""
        self.facts.update(facts)

    def opened(self, deadline_at: int) -> Opened:
        """Return the frame that says that the request is about to be sent."""
        return Opened(**self.facts, deadline_at=deadline_at)

    def dispatched(self, called: Called, now: float) -> None:
        """Note that the request is sent now, perhaps once more."""
        self._called = called
        self._is_sent = True
        self._dispatched_at = now
        if self._first_sent_at is None:
            self._first_sent_at = now

    @property
    def is_dispatched(self) -> bool:
        """Tell whether the request was sent, be it in vain."""
        return self._called is not None

    @property
    def next_try(self) -> int:
        """Return the number of the try that is made now: 1 for the first."""
        return len(self._before) + 1

    def sent_s(self, now: float) -> float:
        """Return how long ago the request was sent for the first time; 0 when it was not."""
        return 0.0 if self._first_sent_at is None else now - self._first_sent_at

    def gave_up(self, failure: Failure, now: float) -> None:
        """Note that this try brought nothing to hand on; what was read of its answer is its own."""
        if self._called is not None and self._is_sent:
            spent = cost(self._usage, self._called.price, self._tier)
            usd = 0.0 if self._usage is None and failure.is_free else spent.usd
            self._before.append(self._attempt(self._called, failure.error_class, self._upstream_ms(now), usd))
        self._is_sent = False
        self.status = self._dispatched_at = self._received_at = self._first_at = self._last_at = None
        self._usage = self._tier = self._finish_reason = self._response_id = None
        self._deltas = 0

    def again(self, failure: Failure, now: float) -> None:
        """Note that this try brought nothing, and that the request is sent to the same model server now."""
        self.gave_up(failure, now)
        if self._called is not None:
            self.dispatched(self._called, now)

    def answered(self, status: int) -> None:
        """Note the upstream's status."""
        self.status = status

    def saw_chunk(self, chunk: reply.Reply, now: float) -> None:
        """Read one streamed chunk: first and last output, usage, ids."""
        if chunk.has_delta:
            if chunk.type is None or not chunk.is_media:
                self._deltas += 1
            self._last_at = now
            if self._first_at is None:
                self._first_at = now
        self._read(chunk)

    def saw_bytes(self, now: float) -> None:
        """Note output as such: a piece of sound, say."""
        self._last_at = now
        if self._first_at is None:
            self._first_at = now

    def saw_answer(self, answer: reply.Reply | None) -> None:
        """Read a whole answer, if it could be read."""
        if answer is not None:
            self._read(answer)

    def received(self, now: float) -> None:
        """Note the upstream's last byte."""
        self._received_at = now

    @property
    def has_finished(self) -> bool:
        """Tell whether the model said why it ended."""
        return self._finish_reason is not None

    def latency_ms(self, now: float) -> float:
        """Return the time since the request's head was complete."""
        return (now - self._started) * _MS

    def settle(self, outcome: Outcome, now: float, *, status: int | None, error_class: str | None = None) -> Record:
        """Close the request: one record, the same however often this is called."""
        if self.record is not None:
            return self.record
        called = self._called
        latency_ms = self.latency_ms(now)
        attempts, spent = self._attempts(error_class, now)
        upstream_ms = sum(one.upstream_ms or 0.0 for one in attempts) if attempts else None
        self.record = Record(
            **self.facts,
            outcome="client_error" if error_class == "http_404" and self.is_unlisted else outcome,
            status=status,
            error_class=error_class,
            response_id=self._response_id,
            arm_served=called.arm if called is not None else None,
            model_served=called.model if called is not None else None,
            upstream=called.upstream if called is not None else None,
            attempts=attempts,
            fallback_reason=self.fallback_reason,
            latency_ms=latency_ms,
            ttft_ms=None if self._first_at is None else (self._first_at - self._started) * _MS,
            upstream_ms=upstream_ms,
            overhead_ms=latency_ms - (upstream_ms or 0.0),
            output_ms=None
            if self._first_at is None or self._last_at is None
            else (self._last_at - self._first_at) * _MS,
            cost_usd=spent.usd,
            cost_unknown=spent.unknown,
            price_version=called.price_version if called is not None else None,
            finish_reason=self._finish_reason,
            usage_source=self._usage_source(),
            **self._tokens(),
        )
        return self.record

    def _attempts(self, error_class: str | None, now: float) -> tuple[list[Attempt], Cost]:
        """Return all tries, and what they cost together: unknown as soon as one of them is."""
        if self._called is None:
            return [], Cost(None, "no_usage")
        tries, spent = list(self._before), Cost(0.0, None)
        if self._is_sent:
            spent = cost(self._usage, self._called.price, self._tier)
            tries.append(self._attempt(self._called, error_class, self._upstream_ms(now), spent.usd))
        for earlier in self._before:
            if earlier.cost_usd is None:
                return tries, Cost(None, spent.unknown or "no_usage")
            if spent.usd is not None:
                spent = Cost(spent.usd + earlier.cost_usd, None)
        return tries, spent

    @property
    def is_unlisted(self) -> bool:
        """Tell whether nobody but the caller says that there is such a path."""
        return self._called is not None and (self._called.model is None or self.facts["endpoint"] == OTHER.name)

    def _attempt(
        self, called: Called, error_class: str | None, upstream_ms: float | None, usd: float | None
    ) -> Attempt:
        return Attempt(
            arm=called.arm,
            model=called.model,
            upstream=called.upstream,
            status=self.status,
            error_class=error_class,
            upstream_ms=upstream_ms,
            cost_usd=usd,
        )

    def _read(self, answer: reply.Reply) -> None:
        if (reason := answer.finish_reason) is not None:
            self._finish_reason = reason[:MAX_REASON_CHARACTERS]
        for part in (answer, answer.response):
            if part is not None:
                if self._response_id is None and part.id is not None and len(part.id) <= MAX_ID_CHARACTERS:
                    self._response_id = part.id
                self._tier = part.service_tier or self._tier
                if part.usage is not None:
                    found = reported(part.usage, has_choices=part is answer and answer.choices is not None)
                    self._usage = UNCLEAR if self._usage is not None and answer.is_image else found or self._usage

    def _upstream_ms(self, now: float) -> float:
        received_at = now if self._received_at is None else self._received_at
        dispatched_at = received_at if self._dispatched_at is None else self._dispatched_at
        return (received_at - dispatched_at) * _MS

    def _usage_source(self) -> UsageSource:
        if self._usage is not None and self._usage != UNCLEAR:
            return "reported"
        return "estimated" if self._deltas else "missing"

    def _tokens(self) -> dict[str, Any]:
        usage = self._usage
        if usage is None or usage == UNCLEAR:
            return {"output_tokens": self._deltas or None}
        if usage.input is None:
            return {}
        return {
            "input_tokens": usage.input,
            "cached_tokens": usage.cached,
            "input_audio_tokens": usage.input_audio,
            "output_tokens": usage.output,
            "reasoning_tokens": usage.reasoning,
            "output_audio_tokens": usage.output_audio,
        }


def outcome_of(status: int) -> tuple[Outcome, str | None]:
    """Return the outcome and error class of an answer that arrived whole, by its status."""
    if status < 300:
        return "ok", None
    if 400 <= status < 500 and status not in FAILED_STATUSES:
        return "client_error", f"http_{status}"
    return "upstream_error", f"http_{status}"
