"""Records as OpenTelemetry spans: one for the request, one below it for each try at an upstream. No I/O, no clock.

The law: a span says nothing that a record does not, and no word of a prompt, an answer or a user. Of models that are
not configured, whose names callers make up, it says `(other)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from analytics.record import Attempt, Record
from analytics.telemetry import conventions as named
from analytics.trace import attempt_span_id, is_sampled

Value = str | bool | int | float | Sequence[str] | None
_NS_PER_US, _NS_PER_MS = 1_000, 1_000_000
_FAILED = frozenset({"upstream_error", "timeout", "malformed", "shed", "interrupted"})
"""Outcomes that are no fault of the caller's."""
_SAMPLED = 1


def is_failed(record: Record) -> bool:
    """Tell whether something went wrong that the caller is not to blame for, be it that base helped."""
    return record.outcome in _FAILED or record.fallback_reason is not None


def is_wanted(record: Record, slow_ms: float) -> bool:
    """Tell whether a request's spans are exported: sampled, failed, or as slow as that; never without a trace."""
    if record.trace_id is None or record.span_id is None:
        return False
    return is_failed(record) or (record.latency_ms or 0.0) >= slow_ms or is_sampled(record.span_id)


def request_of(
    records: Sequence[Record], resource: Mapping[str, str], label: Callable[[str], str]
) -> ExportTraceServiceRequest:
    """Return what is sent for some records; `label` gives the name under which a model is told."""
    spans = [span for record in records for span in spans_of(record, label)]
    scope = ScopeSpans(scope=InstrumentationScope(name=named.TURNOUT), spans=spans)
    about = Resource(attributes=attributes(resource))
    return ExportTraceServiceRequest(resource_spans=[ResourceSpans(resource=about, scope_spans=[scope])])


def spans_of(record: Record, label: Callable[[str], str]) -> Iterator[Span]:
    """Yield the spans of a record that has a trace."""
    if record.trace_id is None or record.span_id is None:
        return
    begins_ns = record.started_at * _NS_PER_US
    ends_ns = begins_ns + round((record.latency_ms or 0.0) * _NS_PER_MS)
    operation, model = named.operation_of(record.endpoint), _model(record.model_requested, label)
    yield Span(
        trace_id=bytes.fromhex(record.trace_id),
        span_id=bytes.fromhex(record.span_id),
        parent_span_id=bytes.fromhex(record.parent_span_id or ""),
        flags=_SAMPLED if is_sampled(record.span_id) else 0,
        name=f"{operation} {model}" if model else operation,
        kind=Span.SPAN_KIND_CLIENT,
        start_time_unix_nano=begins_ns,
        end_time_unix_nano=ends_ns,
        attributes=attributes(_of_request(record, operation, model, label)),
        events=_flag_events(record, begins_ns, label),
        status=_status(record.error_class if record.outcome in _FAILED else None, is_error=record.outcome in _FAILED),
    )
    yield from _tries(record, operation, ends_ns, label)


def attributes(values: Mapping[str, Value]) -> list[KeyValue]:
    """Return attributes; what is not known is left out."""
    return [KeyValue(key=key, value=_any(value)) for key, value in values.items() if value is not None]


def _of_request(record: Record, operation: str, model: str | None, label: Callable[[str], str]) -> dict[str, Value]:
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


def _flag_events(record: Record, at_ns: int, label: Callable[[str], str]) -> list[Span.Event]:
    """Return the flag's evaluation, where a flag decided."""
    if record.rollout is None or record.arm_assigned is None:
        return []
    told: dict[str, Value] = {
        named.FLAG_KEY: record.rollout,
        named.FLAG_PROVIDER: named.TURNOUT,
        named.FLAG_VARIANT: record.arm_assigned,
        named.FLAG_VALUE: _assigned_model(record, label),
        named.FLAG_REASON: record.reason,
        named.FLAG_VERSION: record.snapshot_version,
        named.FLAG_CONTEXT: record.user_hash.hex() if record.user_hash else None,
    }
    return [Span.Event(time_unix_nano=at_ns, name=named.FLAG_EVENT, attributes=attributes(told))]


def _assigned_model(record: Record, label: Callable[[str], str]) -> str | None:
    """Return the assigned arm's model, where one of the tries was made at it."""
    models = (one.model for one in record.attempts if one.arm == record.arm_assigned)
    return _model(next(models, None), label)


def _tries(record: Record, operation: str, ends_ns: int, label: Callable[[str], str]) -> Iterator[Span]:
    """Yield the tries, which are known by their lengths: laid one after the other, to the request's end."""
    lengths_ns = [round((one.upstream_ms or 0.0) * _NS_PER_MS) for one in record.attempts]
    at_ns = max(ends_ns - sum(lengths_ns), record.started_at * _NS_PER_US)
    for number, (one, length_ns) in enumerate(zip(record.attempts, lengths_ns, strict=True), start=1):
        model = _model(one.model, label)
        yield Span(
            trace_id=bytes.fromhex(record.trace_id or ""),
            span_id=bytes.fromhex(attempt_span_id(record.span_id or "", number)),
            parent_span_id=bytes.fromhex(record.span_id or ""),
            flags=_SAMPLED if is_sampled(record.span_id or "") else 0,
            name=f"{operation} {model}" if model else operation,
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=at_ns,
            end_time_unix_nano=at_ns + length_ns,
            attributes=attributes(_of_try(one, operation, number, model)),
            status=_status(one.error_class, is_error=one.error_class is not None),
        )
        at_ns += length_ns


def _of_try(one: Attempt, operation: str, number: int, model: str | None) -> dict[str, Value]:
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


def _status(error_class: str | None, *, is_error: bool) -> Status:
    if not is_error:
        return Status(code=Status.STATUS_CODE_UNSET)
    return Status(code=Status.STATUS_CODE_ERROR, message=error_class or "")


def _any(value: Value) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=one) for one in value or ()]))
