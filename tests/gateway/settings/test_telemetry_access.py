from __future__ import annotations

import pytest

from analytics.lake.told import headers_of
from gateway.settings.schema import SecretRef, Telemetry
from gateway.settings.secrets import SecretError
from gateway.settings.telemetry_access import pushing, telemetry_variables

URL = "http://127.0.0.1:4318"
HEADERS = {"authorization": SecretRef(env="OTLP"), "x-team": SecretRef(env="TEAM")}
BACKEND = Telemetry(otlp_url=URL, otlp_headers=HEADERS)


def test_without_a_backend_a_shipper_pushes_nothing() -> None:
    assert pushing(Telemetry()) is None
    assert telemetry_variables(Telemetry(), {}) == {}


def test_a_shipper_is_told_where_to_push_and_no_secret_with_it() -> None:
    assert pushing(BACKEND) == {"url": URL, "slow_s": 10.0, "metrics_every_s": 60.0}


def test_headers_reach_the_shipper_whatever_they_hold() -> None:
    given = {"OTLP": "a=b,c%20d", "TEAM": "x"}
    variables = telemetry_variables(BACKEND, given)

    assert list(variables) == ["OTEL_EXPORTER_OTLP_HEADERS"]
    assert headers_of(variables) == {"authorization": "Bearer a=b,c%20d", "x-team": "x"}
    assert headers_of({}) == {}


def test_a_header_that_leads_to_nothing_is_told() -> None:
    with pytest.raises(SecretError):
        telemetry_variables(BACKEND, {})
