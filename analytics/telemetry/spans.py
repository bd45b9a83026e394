"""Records as spans of OpenTelemetry's SDK: one for the request, one below it for each try. No I/O, no clock.

The SDK's tracer makes spans while code runs, with ids and times of its own; these are made afterwards, of a record's.

The law: a span says nothing that a record does not, and no word of a prompt, an answer or a user. Of models that are
not configured, whose names callers make up, it says `(other)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from analytics.record import Attempt, Record
from analytics.telemetry import conventions as named
from analytics.trace import attempt_span_id, is_sampled

SCOPE = InstrumentationScope(named.TURNOUT)
"""Who made spans and metrics."""
Value = str | bool | int | float | Sequence[str]
_NS_PER_US, _NS_PER_MS = 1_000, 1_000_000
_FAILED = frozenset({"upstream_error", "timeout", "malformed", "shed", "interrupted"})
"""Outcomes that are no fault of the caller's."""


def is_failed(record: Record) -> bool:
    """Tell whether something went wrong that the caller is not to blame for, be it that base helped."""
    return record.outcome in _FAILED or record.fallback_reason is not None


def is_wanted(record: Record, slow_ms: float) -> bool:
    """Tell whether a request's spans are exported: sampled, failed, or as slow as that; never without a trace."""
    if record.trace_id is None or record.span_id is None:
        return False
    return is_failed(record) or (record.latency_ms or 0.0) >= slow_ms or is_sampled(record.span_id)


def spans_of(record: Record, resource: Resource, label: Callable[[str], str]) -> Iterator[ReadableSpan]:
    """Yield the spans of a record that has a trace; `label` gives the name under which a model is told."""
    if record.trace_id is None or record.span_id is None:
        return
    begins_ns = record.started_at * _NS_PER_US
    ends_ns = begins_ns + round((record.latency_ms or 0.0) * _NS_PER_MS)
    operation, model = named.operation_of(record.endpoint), _model(record.model_requested, label)
    context = _context(record, record.span_id)
    parent = record.parent_span_id
    yield ReadableSpan(
        name=f"{operation} {model}" if model else operation,
        context=context,
        parent=None if parent is None else _context(record, parent, is_remote=True),
        resource=resource,
        attributes=_known(_of_request(record, operation, model, label)),
        events=_flag_events(record, begins_ns, label),
        kind=SpanKind.CLIENT,
        status=_status(record.error_class, is_error=record.outcome in _FAILED),
        start_time=begins_ns,
        end_time=ends_ns,
        instrumentation_scope=SCOPE,
    )
    yield from _tries(record, context, resource, operation, label)


def _of_request(
    record: Record, operation: str, model: str | None, label: Callable[[str], str]
) -> dict[str, Value | None]:
    return {
        named.OPERATION: operation,
        named.PROVIDER: named.OPENAI,
        named.REQUEST_MODEL: model,
        named.REQUEST_STREAM: record.stream,
        named.RESPONSE_ID: record.response_id,
        named.RESPONSE_MODEL: _model(record.model_served, label),
        named.FINISH_REASONS: None if record.finish_reason is None else [record.finish_reason],
        named.TIME_TO_FIRST_CHUNK: None if record.ttft_ms is None else record.ttft_ms / 1000,
        named.INPUT_TOKENS: record.input_tokens,
        named.OUTPUT_TOKENS: record.output_tokens,
        named.CACHED_TOKENS: record.cached_tokens,
        named.REASONING_TOKENS: record.reasoning_tokens,
        named.ERROR_TYPE: record.error_class,
        named.STATUS_CODE: record.status,
        named.REQUEST_ID: record.request_id,
        named.APPLICATION: record.application,
        named.ENDPOINT: record.endpoint,
        named.ROLLOUT: record.rollout,
        named.PHASE: record.phase,
        named.PURPOSE: record.purpose,
        named.ARM_ASSIGNED: record.arm_assigned,
        named.ARM: record.arm_served,
        named.UPSTREAM: record.upstream,
        named.OUTCOME: record.outcome,
        named.FALLBACK_REASON: record.fallback_reason,
        named.COST: record.cost_usd,
        named.OVERHEAD: record.overhead_ms,
    }


def _flag_events(record: Record, at_ns: int, label: Callable[[str], str]) -> list[Event]:
    """Return the flag's evaluation, where a flag decided."""
    if record.rollout is None or record.arm_assigned is None:
        return []
    told: dict[str, Value | None] = {
        named.FLAG_KEY: record.rollout,
        named.FLAG_PROVIDER: named.TURNOUT,
        named.FLAG_VARIANT: record.arm_assigned,
        named.FLAG_VALUE: _assigned_model(record, label),
        named.FLAG_REASON: record.reason,
        named.FLAG_VERSION: record.snapshot_version,
        named.FLAG_CONTEXT: record.user_hash.hex() if record.user_hash else None,
    }
    return [Event(named.FLAG_EVENT, attributes=_known(told), timestamp=at_ns)]


def _assigned_model(record: Record, label: Callable[[str], str]) -> str | None:
    """Return the assigned arm's model, where one of the tries was made at it."""
    models = (one.model for one in record.attempts if one.arm == record.arm_assigned)
    return _model(next(models, None), label)


def _tries(
    record: Record, request: SpanContext, resource: Resource, operation: str, label: Callable[[str], str]
) -> Iterator[ReadableSpan]:
    """Yield the tries, which are known by their lengths: laid one after the other, to the request's end."""
    begins_ns = record.started_at * _NS_PER_US
    lengths_ns = [round((one.upstream_ms or 0.0) * _NS_PER_MS) for one in record.attempts]
    at_ns = begins_ns + max(round((record.latency_ms or 0.0) * _NS_PER_MS) - sum(lengths_ns), 0)
    for number, (one, length_ns) in enumerate(zip(record.attempts, lengths_ns, strict=True), start=1):
        model = _model(one.model, label)
        yield ReadableSpan(
            name=f"{operation} {model}" if model else operation,
            context=_context(record, attempt_span_id(record.span_id or "", number)),
            parent=request,
            resource=resource,
            attributes=_known(_of_try(one, operation, number, model)),
            kind=SpanKind.CLIENT,
            status=_status(one.error_class, is_error=one.error_class is not None),
            start_time=at_ns,
            end_time=at_ns + length_ns,
            instrumentation_scope=SCOPE,
        )
        at_ns += length_ns


def _of_try(one: Attempt, operation: str, number: int, model: str | None) -> dict[str, Value | None]:
    return {
        named.OPERATION: operation,
        named.PROVIDER: named.OPENAI,
        named.REQUEST_MODEL: model,
        named.ERROR_TYPE: one.error_class,
        named.STATUS_CODE: one.status,
        named.ARM: one.arm,
        named.UPSTREAM: one.upstream,
        named.COST: one.cost_usd,
        named.ATTEMPT: number,
    }


def _model(model: str | None, label: Callable[[str], str]) -> str | None:
    return None if model is None else label(model)


def _context(record: Record, span_id: str, *, is_remote: bool = False) -> SpanContext:
    """Return where a span of a record's trace stands; ids are hexadecimal."""
    flags = TraceFlags.SAMPLED if is_sampled(record.span_id or "") else TraceFlags.DEFAULT
    return SpanContext(int(record.trace_id or "", 16), int(span_id, 16), is_remote, TraceFlags(flags))


def _known(values: Mapping[str, Value | None]) -> dict[str, Value]:
    """Return what is known."""
    return {key: value for key, value in values.items() if value is not None}


def _status(error_class: str | None, *, is_error: bool) -> Status:
    return Status(StatusCode.ERROR, error_class or "") if is_error else Status(StatusCode.UNSET)
