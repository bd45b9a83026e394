from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.settings.schema import Telemetry
from gateway.settings.telemetry import telemetry_problems

AUTHORIZATION = {"authorization": {"env": "OTLP"}}


def found(**keys: Any) -> list[tuple[str, str]]:
    telemetry = msgspec.convert(keys, type=Telemetry)
    return [(one.severity, f"{one.path}: {one.message}") for one in telemetry_problems(telemetry)]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"otlp_url": "http://127.0.0.1:4318", "otlp_headers": AUTHORIZATION},
        {"otlp_url": "http://collector.internal:4318/"},
        {"otlp_url": "https://otlp.example.com/otlp", "otlp_headers": AUTHORIZATION, "sample": 1, "slow_s": 1},
    ],
)
def test_a_backend_may_be_named_or_not(keys: dict[str, Any]) -> None:
    assert not found(**keys)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("collector:4318", "is no address of an OTLP backend; write it like"),
        ("grpc://collector:4317", "is no address of an OTLP backend; write it like"),
        ("http://user:canary@collector:4318", "is no address of an OTLP backend; write it like"),
        ("http://collector:4318/v1/traces", "ends in a path that Turnout adds itself; take off everything from /v1 on"),
        ("http://collector:4318/v1/metrics/", "ends in a path that Turnout adds itself"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, message: str) -> None:
    ((severity, text),) = found(otlp_url=url)

    assert severity == "error"
    assert text.startswith("telemetry.otlp_url: ")
    assert message in text


def test_headers_without_a_backend_are_refused() -> None:
    assert found(otlp_headers=AUTHORIZATION) == [
        ("error", "telemetry.otlp_headers: go to a backend; write its otlp_url too")
    ]


def test_a_credential_in_the_open_is_warned_of() -> None:
    ((severity, text),) = found(otlp_url="http://collector.internal:4318", otlp_headers=AUTHORIZATION)

    assert severity == "warning"
    assert "gets its credential unencrypted; use https://" in text
