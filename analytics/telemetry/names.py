"""The names under which measures are told: the only table of them. `docs/telemetry.md` lists the same, by a test.

The law: a label's values are those of the configuration, or words that this code writes; what callers invent is folded.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from analytics.bins import octaves_s

NONE = ""
"""A label without a value, which Prometheus takes for a label that is not there."""
OTHER = "(other)"
"""What stands for every model name outside the configuration, and for all that would be too much."""

SECONDS = octaves_s(0.01, 14)
"""0.01 to 81.92 s, each twice the one before: those of the GenAI conventions for an operation's duration."""
SHORT_SECONDS = octaves_s(0.0001, 14)
TOKENS = tuple(float(4**power) for power in range(14))
"""1 to 67,108,864: those of the GenAI conventions."""
USD = tuple(0.000001 * 4**power for power in range(13))
"""A millionth of a dollar to 16.78 dollars."""

SPLIT = ("rollout", "arm", "model", "purpose")
"""`arm` is the one that was assigned, `model` the one that was asked: by arm, a fallback counts for the candidate."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One measure as Prometheus names it; `bounds` are the upper ends of a histogram's buckets, without infinity."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    told: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


def _counter(name: str, told: str, *labels: str) -> Instrument:
    return Instrument(name=name, kind="counter", told=told, labels=labels)


def _gauge(name: str, told: str, *labels: str) -> Instrument:
    return Instrument(name=name, kind="gauge", told=told, labels=labels)


def _histogram(name: str, told: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Instrument:
    return Instrument(name=name, kind="histogram", told=told, labels=labels, bounds=bounds)


REQUESTS = _counter("turnout_requests_total", "Requests that ended.", *SPLIT, "outcome", "reason")
DURATION = _histogram(
    "turnout_request_duration_seconds", "From a request's complete head to its last byte.", (*SPLIT, "outcome"), SECONDS
)
TTFT = _histogram("turnout_time_to_first_token_seconds", "To the first content of a stream.", SPLIT, SECONDS)
OVERHEAD = _histogram("turnout_overhead_seconds", "The gateway's own part of a duration.", (), SHORT_SECONDS)
TOKEN_USAGE = _histogram("turnout_tokens", "Tokens of a request, by type.", (*SPLIT, "type"), TOKENS)
COST = _histogram("turnout_cost_usd", "What a request cost, where that is known.", SPLIT, USD)
COST_UNKNOWN = _counter("turnout_cost_unknown_total", "Requests whose cost is unknown, and why.", "model", "cause")
ERRORS = _counter("turnout_errors_total", "What failed.", "rollout", "arm", "error_class")
FALLBACKS = _counter("turnout_fallbacks_total", "Requests that base answered for the candidate.", "rollout", "cause")
ATTEMPTS = _counter("turnout_attempts_total", "Tries at an upstream.", "upstream", "error_class")
APPLICATION_REQUESTS = _counter(
    "turnout_application_requests_total", "Requests that ended, by who called.", "application", "purpose", "outcome"
)
APPLICATION_COST = _counter(
    "turnout_application_cost_usd_total", "What they cost, where that is known.", "application", "purpose"
)
FEEDBACK = _counter("turnout_feedback_total", "Feedback that was received.", "application", "verdict")

OF_RECORDS = (
    *(REQUESTS, DURATION, TTFT, OVERHEAD, TOKEN_USAGE, COST, COST_UNKNOWN, ERRORS, FALLBACKS, ATTEMPTS),
    *(APPLICATION_REQUESTS, APPLICATION_COST, FEEDBACK),
)
"""What is counted as records come; it begins at 0 with each start of the shipper."""

IN_FLIGHT = _gauge("turnout_in_flight_requests", "Requests that are being answered.", "worker")
JOURNAL_LOST = _counter("turnout_journal_lost_frames_total", "Frames that no journal will ever hold.", "worker")
JOURNAL_TROUBLE = _gauge(
    "turnout_journal_trouble", "0: none; 1: records wait in memory; 2: records are being lost.", "worker"
)
JOURNAL_LOST_EARLIER = _gauge(
    "turnout_journal_lost_frames_earlier", "The same of workers that are gone and whose last page is kept."
)
CONTENT_LOST = _counter("turnout_content_lost_total", "Pieces of content that are nowhere.", "worker")
SNAPSHOT_EPOCH = _gauge("turnout_snapshot_epoch", "The epoch of the snapshot that decides.", "worker")
SNAPSHOT_VERSION = _gauge("turnout_snapshot_version", "Its version within the epoch.", "worker")
SNAPSHOT_AGE = _gauge("turnout_snapshot_age_seconds", "How long ago it was compiled.", "worker")
SNAPSHOT_SOURCE = _gauge("turnout_snapshot_source", "1 for where it came from.", "worker", "source")
SNAPSHOT_STALE = _gauge("turnout_snapshot_stale", "1 while the source of snapshots gives no answer.", "worker")
PAGE_AGE = _gauge("turnout_worker_page_age_seconds", "How long ago the worker last told of itself.", "worker")
CONTROLLER_TICK = _gauge("turnout_controller_last_tick_seconds", "When the controller of rollouts last did its round.")

OF_WORKERS = (
    *(IN_FLIGHT, JOURNAL_LOST, JOURNAL_TROUBLE, JOURNAL_LOST_EARLIER, CONTENT_LOST),
    *(SNAPSHOT_EPOCH, SNAPSHOT_VERSION, SNAPSHOT_AGE, SNAPSHOT_SOURCE, SNAPSHOT_STALE, PAGE_AGE, CONTROLLER_TICK),
)
"""What the workers' status pages, and the controller's sign of life, say at the moment of the scrape."""

LAG_BYTES = _gauge("turnout_shipper_waiting_bytes", "Bytes of the journal that are not in the lake yet.")
LAG_AGE = _gauge("turnout_shipper_oldest_waiting_seconds", "The age of the oldest record among them.")
STORE_AWAY = _gauge("turnout_lake_away", "1 while the lake's store gives no answer.")
SHIPPED = _counter("turnout_shipper_rows_total", "Rows that came to the lake.", "dataset")
SHIPPER_TROUBLE = _counter("turnout_shipper_trouble_total", "What the shipper met; see docs/telemetry.md.", "kind")
HEARTBEAT = _gauge("turnout_heartbeat_timestamp_seconds", "When a worker's heartbeat was last written.", "worker")
TELEMETRY_TROUBLE = _counter("turnout_telemetry_trouble_total", "What could not be measured.", "kind")
PUSHED = _counter("turnout_telemetry_pushed_total", "What was pushed by OTLP, by its fate.", "signal", "fate")

OF_SHIPPER = (LAG_BYTES, LAG_AGE, STORE_AWAY, SHIPPED, SHIPPER_TROUBLE, HEARTBEAT, TELEMETRY_TROUBLE, PUSHED)
"""What the shipper knows of itself."""

INSTRUMENTS = (*OF_RECORDS, *OF_WORKERS, *OF_SHIPPER)
