"""Judge where spans and metrics are to be pushed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.settings.address import base_url_faults, is_loopback
from gateway.settings.problem import Problem, error_at, shown, warning_at
from gateway.settings.schema import Telemetry

_SIGNALS = ("/v1/traces", "/v1/metrics", "/v1/logs")


def telemetry_problems(telemetry: Telemetry) -> Iterator[Problem]:
    """Yield what is wrong with `[telemetry]`."""
    url = telemetry.otlp_url
    if url is None:
        if telemetry.otlp_headers:
            yield error_at(("telemetry", "otlp_headers"), "go to a backend; write its otlp_url too")
        return
    place = ("telemetry", "otlp_url")
    if any(base_url_faults(url)):
        message = f'{shown(url)} is no address of an OTLP backend; write it like "http://collector.internal:4318"'
        yield error_at(place, message)
    elif url.rstrip("/").endswith(_SIGNALS):
        yield error_at(place, f"{shown(url)} ends in a path that Turnout adds itself; take off everything from /v1 on")
    elif url.startswith("http://") and telemetry.otlp_headers and not is_loopback(urlsplit(url).hostname or ""):
        yield warning_at(place, f"{shown(url)} gets its credential unencrypted; use https://")
