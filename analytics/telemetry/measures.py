"""What is counted of records: requests, durations, tokens, cost, errors, feedback. No I/O, no clock.

The law: a record is counted once, by facts that stand in it; a value that is not known is counted nowhere.
"""

from __future__ import annotations

from collections.abc import Callable

from analytics.feedback import Feedback
from analytics.record import Record
from analytics.telemetry import names
from analytics.telemetry.names import NONE
from analytics.telemetry.series import Family, Spreads, Sums

_S = 1 / 1000.0


class Measures:
    """All series that come of records; `model_label` says under which name a model counts."""

    def __init__(self, model_label: Callable[[str], str]) -> None:
        self._model_label = model_label
        self._requests = Sums(names.REQUESTS)
        self._duration = Spreads(names.DURATION)
        self._ttft = Spreads(names.TTFT)
        self._overhead = Spreads(names.OVERHEAD)
        self._tokens = Spreads(names.TOKEN_USAGE)
        self._cost = Spreads(names.COST)
        self._cost_unknown = Sums(names.COST_UNKNOWN)
        self._errors = Sums(names.ERRORS)
        self._fallbacks = Sums(names.FALLBACKS)
        self._attempts = Sums(names.ATTEMPTS)
        self._application_requests = Sums(names.APPLICATION_REQUESTS)
        self._application_cost = Sums(names.APPLICATION_COST)
        self._feedback = Sums(names.FEEDBACK)

    def take(self, record: Record) -> None:
        """Count one settled request."""
        model = NONE if record.model_served is None else self._model_label(record.model_served)
        rollout, arm = record.rollout or NONE, record.arm_assigned or NONE
        split = (rollout, arm, model, record.purpose)
        self._requests.add((*split, record.outcome, record.reason or NONE))
        if record.latency_ms is not None:
            self._duration.add((*split, record.outcome), record.latency_ms * _S)
        if record.ttft_ms is not None:
            self._ttft.add(split, record.ttft_ms * _S)
        if record.overhead_ms is not None:
            self._overhead.add((), record.overhead_ms * _S)
        if record.input_tokens is not None:
            self._tokens.add((*split, "input"), record.input_tokens)
        if record.output_tokens is not None:
            self._tokens.add((*split, "output"), record.output_tokens)
        self._take_failures(record, rollout, arm)
        self._take_cost(record, split)

    def _take_failures(self, record: Record, rollout: str, arm: str) -> None:
        if record.error_class is not None:
            self._errors.add((rollout, arm, record.error_class))
        if record.fallback_reason is not None:
            self._fallbacks.add((rollout, record.fallback_reason))
        for attempt in record.attempts:
            self._attempts.add((attempt.upstream, attempt.error_class or NONE))

    def _take_cost(self, record: Record, split: tuple[str, str, str, str]) -> None:
        application, purpose = record.application or NONE, record.purpose
        self._application_requests.add((application, purpose, record.outcome))
        if record.cost_usd is not None:
            self._cost.add(split, record.cost_usd)
            self._application_cost.add((application, purpose), record.cost_usd)
        elif record.attempts:
            self._cost_unknown.add((split[2], record.cost_unknown or NONE))

    def take_feedback(self, feedback: Feedback) -> None:
        """Count one piece of feedback, as it came."""
        verdict = feedback.thumb or (None if feedback.rating is None else f"rating_{feedback.rating}")
        for word in (verdict, feedback.signal):
            if word is not None:
                self._feedback.add((feedback.application or NONE, word))

    def families(self) -> list[Family]:
        """Return all series in the order of the names' table."""
        kept = (
            *(self._requests, self._duration, self._ttft, self._overhead, self._tokens, self._cost),
            *(self._cost_unknown, self._errors, self._fallbacks, self._attempts),
            *(self._application_requests, self._application_cost, self._feedback),
        )
        return [one.family() for one in kept]
