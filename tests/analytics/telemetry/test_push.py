from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from analytics.record import Record
from analytics.telemetry import names
from analytics.telemetry.post import Backend
from analytics.telemetry.push import MOST_WAITING, Pusher, Pushing
from analytics.telemetry.series import Family, Spread
from tests.analytics.telemetry.conftest import STARTED_AT
from tests.fakes.otlp_backend import OtlpBackend, otlp_backend, plain

Settled = Callable[..., Record]
TRACE = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "80000123456789ab"}


class Measured:
    """One gauge; it fails as often as it is told to."""

    def __init__(self) -> None:
        self.failures = 0

    def refresh(self) -> list[Family]:
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError
        return [Family(names.LAG_BYTES, [((), 1.0)])]

    def label(self, model: str) -> str:
        return model


class Stage:
    """A pusher to a backend, and a clock that passes when it is told to."""

    def __init__(self, backend: OtlpBackend) -> None:
        self.backend, self.now_us, self.measured = backend, STARTED_AT, Measured()
        pushing = Pushing(url=backend.url, slow_s=10.0, metrics_every_s=60.0)
        target = Backend(backend.url, {}, timeout_s=10)
        self.pusher = Pusher(pushing, target, {"service.name": "turnout"}, self.measured, lambda: self.now_us)

    def counts(self) -> dict[tuple[str, ...], float | Spread]:
        return dict(self.pusher.family().points)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with otlp_backend() as backend:
        yield Stage(backend)


def test_spans_and_metrics_arrive(stage: Stage, settled: Settled) -> None:
    stage.pusher.take(settled(**TRACE))
    stage.pusher.take(settled())
    assert stage.pusher.push()

    assert [span.name for span in stage.backend.spans()] == ["chat sales", "chat tuned"]
    assert list(stage.backend.last_metrics()) == ["turnout.shipper_waiting_bytes"]
    about = stage.backend.traces[0].resource_spans[0].resource
    assert plain(about.attributes) == {"service.name": "turnout"}
    assert stage.counts() == {("traces", "taken"): 1, ("metrics", "taken"): 1}


def test_metrics_are_pushed_when_they_are_due_and_spans_each_time(stage: Stage, settled: Settled) -> None:
    for _ in range(3):
        stage.pusher.take(settled(**TRACE))
        stage.pusher.push()
    assert (len(stage.backend.metrics), len(stage.backend.traces)) == (1, 3)

    stage.now_us += 60_000_000
    stage.pusher.push()
    assert len(stage.backend.metrics) == 2


def test_many_go_in_parts(stage: Stage, settled: Settled) -> None:
    for seq in range(600):
        stage.pusher.take(settled(seq, **TRACE, attempts=[]))
    stage.pusher.push()

    assert len(stage.backend.traces) == 3
    assert len(stage.backend.spans()) == 600


def test_while_the_backend_is_away_spans_wait_and_come_once(stage: Stage, settled: Settled) -> None:
    stage.backend.status = 503
    stage.pusher.take(settled(1, **TRACE))
    assert not stage.pusher.push()
    stage.now_us += 60_000_000
    assert not stage.pusher.push()
    stage.backend.status = 200
    stage.now_us += 60_000_000
    assert stage.pusher.push()
    assert stage.pusher.push()

    assert len(stage.backend.spans()) == 2
    assert stage.counts() == {("traces", "taken"): 1, ("metrics", "away"): 2, ("metrics", "taken"): 1}


def test_a_backend_that_goes_away_between_metrics_and_spans_delays_them(stage: Stage, settled: Settled) -> None:
    stage.pusher.push()
    stage.backend.status = 503
    stage.pusher.take(settled(1, **TRACE))

    assert not stage.pusher.push()
    assert stage.counts() == {("metrics", "taken"): 1, ("traces", "delayed"): 1}


def test_what_is_refused_is_counted_and_not_sent_again(stage: Stage, settled: Settled) -> None:
    stage.backend.status = 500
    stage.pusher.take(settled(**TRACE))
    assert stage.pusher.push()
    stage.backend.status = 200
    stage.pusher.push()

    assert not stage.backend.spans()
    assert stage.counts() == {("traces", "refused"): 1, ("metrics", "refused"): 1}


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(stage: Stage, settled: Settled) -> None:
    record = settled(**TRACE)
    for _ in range(MOST_WAITING + 7):
        stage.pusher.take(record)

    assert stage.counts() == {("traces", "dropped"): 7}


def test_the_thread_goes_on_after_what_nobody_foresaw(stage: Stage, settled: Settled) -> None:
    stage.measured.failures = 1
    stage.pusher.take(settled(**TRACE))
    assert not stage.pusher.try_push()

    assert stage.counts() == {("traces", "dropped"): 1}
    assert stage.pusher.try_push()


def test_at_the_end_what_waits_is_pushed(stage: Stage, settled: Settled) -> None:
    stage.pusher.start()
    stage.pusher.take(settled(**TRACE))
    stage.pusher.stop(within_s=20)

    assert len(stage.backend.spans()) == 2


def test_the_end_does_not_wait_for_a_backend_that_is_slow(stage: Stage, settled: Settled) -> None:
    stage.backend.delay_s = 8
    stage.pusher.start()
    stage.pusher.take(settled(**TRACE))
    began_s = time.monotonic()
    stage.pusher.stop(within_s=0.5)

    assert time.monotonic() - began_s < 7
