"""What the simulated server received and gave, counted, so that a test can compare it with what a gateway recorded.

A request is counted when it is read, its tokens before the last byte of its answer is written: whoever has the whole
answer finds it counted. Tokens of cancelled answers stand apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from gateway.simulate.reply import Bill

CANCELLED_KEPT = 20_000
"""Newest cancellations whose times are kept; `Tally.cancelled` counts them all."""


class ModelTally(msgspec.Struct, kw_only=True):
    """Counts of one model since start or reset; `open_*` are gauges."""

    requests: int = 0
    streamed: int = 0
    answered: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    faults: dict[str, int] = msgspec.field(default_factory=dict[str, int])
    cancelled: int = 0
    cancelled_output_tokens: int = 0
    open_requests: int = 0
    open_streams: int = 0

    def pay(self, bill: Bill) -> None:
        """Count one complete answer."""
        self.answered += 1
        self.input_tokens += bill.input
        self.cached_tokens += bill.cached
        self.output_tokens += bill.output
        self.reasoning_tokens += bill.reasoning

    def failed(self, status: int) -> None:
        """Count one error that the model gave."""
        self.errors[str(status)] = self.errors.get(str(status), 0) + 1

    def suffered(self, fault: str) -> None:
        """Count something else that went wrong as configured."""
        self.faults[fault] = self.faults.get(fault, 0) + 1


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """One caller that went away.

    `noticed_at` is microseconds since 1970 UTC, `after_ms` the time since the request was read, `mark` what the caller
    wrote into `metadata.simulate_id`, `tokens_sent` how much of a stream was out.
    """

    model: str
    mark: str | None
    streamed: bool
    noticed_at: int
    after_ms: float
    tokens_sent: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived; the body is text, with bytes that are not UTF-8 replaced."""

    path: str
    headers: list[tuple[str, str]]
    body: str


class Tally:
    """Everything one server has counted; `refused` maps statuses of refused requests, `crashes` our own faults."""

    def __init__(self, models: Iterable[str], *, keep_last: int = 0) -> None:
        self.last: deque[Kept] = deque(maxlen=keep_last)
        self.cancelled: deque[Cancelled] = deque(maxlen=CANCELLED_KEPT)
        self.models = {name: ModelTally() for name in models}
        self.refused: dict[str, int] = {}
        self.crashes = 0

    def reset(self) -> None:
        """Forget everything but what is open now."""
        for tally in self.models.values():
            fresh = ModelTally(open_requests=tally.open_requests, open_streams=tally.open_streams)
            for field in ModelTally.__struct_fields__:
                setattr(tally, field, getattr(fresh, field))
        self.refused.clear()
        self.last.clear()
        self.cancelled.clear()
        self.crashes = 0

    def refuse(self, status: int) -> None:
        """Count a request that no model answered."""
        self.refused[str(status)] = self.refused.get(str(status), 0) + 1

    def counts(self) -> dict[str, object]:
        """Return the answer of `GET /simulate/counts`."""
        return {"models": self.models, "refused": self.refused, "crashes": self.crashes}
