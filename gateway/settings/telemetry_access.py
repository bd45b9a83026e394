"""What of `[telemetry]` reaches the shipper: where to push on its command line, credentials as a variable alone."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from analytics.telemetry.conventions import HEADERS_VARIABLE
from gateway.settings.schema import Telemetry
from gateway.settings.secrets import resolve

_SCHEMES = {"authorization": "Bearer "}
"""What stands before a credential in a header that wants more than that."""


def pushing(telemetry: Telemetry) -> dict[str, str | float] | None:
    """Return what a shipper is told of pushing; None: it pushes nothing."""
    if telemetry.otlp_url is None:
        return None
    return {
        "url": telemetry.otlp_url,
        "slow_s": telemetry.slow_s,
        "metrics_every_s": telemetry.metrics_every_s,
    }


def telemetry_variables(telemetry: Telemetry, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that holds the backend's headers, if it wants any.

    Raises:
        SecretError: a reference leads to nothing.
    """
    found = {name: _SCHEMES.get(name, "") + resolve(ref, environment) for name, ref in telemetry.otlp_headers.items()}
    pairs = [f"{quote(name)}={quote(value, safe='')}" for name, value in found.items()]
    return {HEADERS_VARIABLE: ",".join(pairs)} if pairs else {}
