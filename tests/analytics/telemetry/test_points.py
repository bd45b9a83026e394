from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.resources import Resource

from analytics.telemetry import names
from analytics.telemetry.points import metrics_of
from analytics.telemetry.series import Family, Spreads, Sums
from tests.fakes.otlp_backend import plain

SPLIT = ("sales", "candidate", "tuned", "live")


def test_series_are_cumulative_metrics_under_the_conventions_names() -> None:
    duration, errors = Spreads(names.DURATION), Sums(names.ERRORS)
    for seconds in (0.05, 1.0, 1.1, 1000.0):
        duration.add((*SPLIT, "ok"), seconds)
    errors.add(("sales", "", "http_500"), 3)
    gauge = Family(names.LAG_BYTES, [((), 17.0)])
    families = [duration.family(), errors.family(), gauge, Sums(names.FALLBACKS).family()]

    about = Resource({"service.name": "turnout"})
    request = encode_metrics(metrics_of(families, about, since_ns=5, now_ns=9))
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    histogram, counter, measured = scope.metrics

    assert plain(resource.resource.attributes) == {"service.name": "turnout"}
    assert (histogram.name, histogram.unit) == ("gen_ai.client.operation.duration", "s")
    (spread,) = histogram.histogram.data_points
    assert plain(spread.attributes) == {
        "gen_ai.provider.name": "openai",
        "turnout.rollout": "sales",
        "turnout.arm": "candidate",
        "gen_ai.response.model": "tuned",
        "turnout.purpose": "live",
        "turnout.outcome": "ok",
    }
    assert (spread.count, spread.sum) == (4, 1002.15)
    assert not spread.HasField("min")
    assert not spread.HasField("max")
    assert list(spread.explicit_bounds) == list(names.SECONDS)
    assert list(spread.bucket_counts) == [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 1]
    assert (spread.start_time_unix_nano, spread.time_unix_nano) == (5, 9)
    assert histogram.histogram.aggregation_temporality == counter.sum.aggregation_temporality == 2

    assert (counter.name, counter.sum.is_monotonic) == ("turnout.errors", True)
    (point,) = counter.sum.data_points
    assert (point.as_double, plain(point.attributes)) == (
        3,
        {"turnout.rollout": "sales", "turnout.error_class": "http_500"},
    )

    assert measured.name == "turnout.shipper_waiting_bytes"
    assert [one.as_double for one in measured.gauge.data_points] == [17]
