"""Series as OpenTelemetry metrics, cumulative since the start of the shipper. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Metric,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from analytics.telemetry import conventions as named
from analytics.telemetry.conventions import metric_of
from analytics.telemetry.series import Family, Labels, Spread
from analytics.telemetry.spans import attributes

_FIXED: dict[str, dict[str, str]] = {"gen_ai.client.": {named.PROVIDER: named.OPENAI}}
"""What the conventions demand of their own metrics, and no label says."""


def request_of(
    families: Iterable[Family], resource: Mapping[str, str], *, since_ns: int, now_ns: int
) -> ExportMetricsServiceRequest:
    """Return what is sent for these families; moments are nanoseconds since 1970 UTC."""
    metrics = [_metric(family, since_ns, now_ns) for family in families if family.points]
    scope = ScopeMetrics(scope=InstrumentationScope(name=named.TURNOUT), metrics=metrics)
    about = Resource(attributes=attributes(resource))
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=about, scope_metrics=[scope])])


def _metric(family: Family, since_ns: int, now_ns: int) -> Metric:
    instrument = family.instrument
    name, unit, keys = metric_of(instrument)
    fixed = {key: value for start, more in _FIXED.items() if name.startswith(start) for key, value in more.items()}
    metric = Metric(name=name, description=instrument.told, unit=unit)
    for labels, value in family.points:
        told = attributes({**fixed, **_known(keys, labels)})
        if isinstance(value, Spread):
            point = metric.histogram.data_points.add(
                count=sum(value.counts), sum=value.total, bucket_counts=value.counts, explicit_bounds=instrument.bounds
            )
        else:
            series = metric.gauge if instrument.kind == "gauge" else metric.sum
            point = series.data_points.add(as_double=value)
        point.attributes.extend(told)
        point.start_time_unix_nano, point.time_unix_nano = since_ns, now_ns
    if instrument.kind == "histogram":
        metric.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
    elif instrument.kind == "counter":
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
    return metric


def _known(keys: tuple[str, ...], labels: Labels) -> dict[str, str]:
    return {key: value for key, value in zip(keys, labels, strict=True) if value}
