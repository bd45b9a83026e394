"""Push spans and metrics to an OTLP backend, from a thread beside the shipper's work.

The law: whether the backend is there, slow, or refuses, changes nothing for anybody else: what waits is bounded, and
what finds no room or is refused is dropped and counted.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

import msgspec
from opentelemetry.sdk.resources import Resource

from analytics.record import Record
from analytics.telemetry import names
from analytics.telemetry.points import metrics_of
from analytics.telemetry.post import Backend, Fate
from analytics.telemetry.series import Family
from analytics.telemetry.spans import is_wanted, spans_of

MOST_WAITING = 4_096
"""Requests whose spans wait: some ten megabytes."""
_AT_ONCE = 256
_EVERY_S = 2.0
_LONGEST_PAUSE_S = 60.0


class Pushing(msgspec.Struct, frozen=True, kw_only=True):
    """What is pushed where: a base `url`, how slow a request is always told, how often metrics are."""

    url: str
    slow_s: float
    metrics_every_s: float


class Measured(Protocol):
    """Whose measures are pushed."""

    def refresh(self) -> list[Family]:
        """Read what is new, and return all families."""
        ...

    def label(self, model: str) -> str:
        """Return the name under which a model is told."""
        ...


class Pusher:
    """Takes records and pushes their spans, and the families of what is `measured`, until it is stopped.

    `clock_us` gives microseconds since 1970 UTC.
    """

    def __init__(
        self,
        pushing: Pushing,
        backend: Backend,
        resource: Mapping[str, str],
        measured: Measured,
        clock_us: Callable[[], int],
    ) -> None:
        self._slow_ms, self._metrics_every_s = pushing.slow_s * 1000, pushing.metrics_every_s
        self._backend, self._resource = backend, Resource(resource)
        self._measured, self._clock_us = measured, clock_us
        self._waiting: deque[Record] = deque()
        self._since_ns = clock_us() * 1000
        self._metrics_due_us = clock_us()
        self.counts: Counter[tuple[str, str]] = Counter()
        """By signal and fate: requests for `traces` (and what was `dropped`), pushes for `metrics`."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        """Begin to push."""
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """Push what waits once more, for at most so long; what is left then is lost with this process."""
        self._stop.set()
        self._thread.join(within_s)
        self._backend.close()

    def take(self, record: Record) -> None:
        """Let a record wait, if its spans are wanted; it never blocks."""
        if not is_wanted(record, self._slow_ms):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.counts["traces", "dropped"] += 1
        else:
            self._waiting.append(record)

    def family(self) -> Family:
        """Return what was pushed and what was dropped."""
        return Family(names.PUSHED, [(labels, float(count)) for labels, count in self.counts.copy().items()])

    def push(self) -> bool:
        """Push what is due; return False if the backend was away."""
        families = self._measured.refresh()
        is_there = True
        if (now_us := self._clock_us()) >= self._metrics_due_us:
            self._metrics_due_us = now_us + round(self._metrics_every_s * 1_000_000)
            metrics = metrics_of(families, self._resource, since_ns=self._since_ns, now_ns=now_us * 1000)
            fate = self._backend.send_metrics(metrics)
            self.counts["metrics", fate] += 1
            is_there = fate != "away"
        while is_there and (some := list(islice(self._waiting, _AT_ONCE))):
            is_there = self._push_spans(some) != "away"
        return is_there

    def _push_spans(self, some: Sequence[Record]) -> Fate:
        spans = [span for record in some for span in spans_of(record, self._resource, self._measured.label)]
        fate = self._backend.send_spans(spans)
        if fate == "away":
            self.counts["traces", "delayed"] += 1
            return fate
        for _ in some:
            self._waiting.popleft()
        self.counts["traces", fate] += len(some)
        return fate

    def _run(self) -> None:
        pause_s = _EVERY_S
        while not self._stop.wait(pause_s):
            pause_s = _EVERY_S if self.try_push() else min(pause_s * 2, _LONGEST_PAUSE_S)
        self._metrics_due_us = 0
        self.try_push()

    def try_push(self) -> bool:
        """Push what is due, whatever happens; return whether the backend was there."""
        try:
            return self.push()
        except Exception:  # noqa: BLE001 - the thread's outermost loop: counted, and what could not be told is dropped
            self.counts["traces", "dropped"] += len(self._waiting)
            self._waiting.clear()
            return False
