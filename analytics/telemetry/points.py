"""Series in the data model of OpenTelemetry's SDK, cumulative since the start of the shipper. No I/O, no clock.

The SDK's instruments would count anew, and dearly, what is counted already; a `MetricsData` is what they would come to.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource

from analytics.telemetry import conventions as named
from analytics.telemetry.conventions import metric_of
from analytics.telemetry.series import Family, Labels, Spread
from analytics.telemetry.spans import SCOPE

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_FIXED: dict[str, dict[str, str]] = {"gen_ai.client.": {named.PROVIDER: named.OPENAI}}
"""What the conventions demand of their own metrics, and no label says."""
_UNKNOWN: Any = None
"""The least and the greatest value of a histogram: nobody kept them, and an exporter leaves them out."""


def metrics_of(families: Iterable[Family], resource: Resource, *, since_ns: int, now_ns: int) -> MetricsData:
    """Return what is sent for these families; moments are nanoseconds since 1970 UTC."""
    metrics = [_metric(family, since_ns, now_ns) for family in families if family.points]
    scope = ScopeMetrics(scope=SCOPE, metrics=metrics, schema_url="")
    return MetricsData([ResourceMetrics(resource=resource, scope_metrics=[scope], schema_url="")])


def _metric(family: Family, since_ns: int, now_ns: int) -> Metric:
    instrument = family.instrument
    name, unit, keys = metric_of(instrument)
    fixed = {key: value for start, more in _FIXED.items() if name.startswith(start) for key, value in more.items()}
    spreads: list[HistogramDataPoint] = []
    numbers: list[NumberDataPoint] = []
    for labels, value in family.points:
        told = {**fixed, **_known(keys, labels)}
        if isinstance(value, Spread):
            counts = value.counts
            spreads.append(
                HistogramDataPoint(
                    attributes=told,
                    start_time_unix_nano=since_ns,
                    time_unix_nano=now_ns,
                    count=sum(counts),
                    sum=value.total,
                    bucket_counts=counts,
                    explicit_bounds=instrument.bounds,
                    min=_UNKNOWN,
                    max=_UNKNOWN,
                )
            )
        else:
            numbers.append(NumberDataPoint(told, since_ns, now_ns, float(value)))
    if instrument.kind == "histogram":
        return Metric(name, instrument.told, unit, Histogram(spreads, _CUMULATIVE))
    if instrument.kind == "counter":
        return Metric(name, instrument.told, unit, Sum(numbers, _CUMULATIVE, is_monotonic=True))
    return Metric(name, instrument.told, unit, Gauge(numbers))


def _known(keys: tuple[str, ...], labels: Labels) -> dict[str, str]:
    return {key: value for key, value in zip(keys, labels, strict=True) if value}
