"""Which headers a configuration may name: none that says who calls, or how a message is framed, or is ours. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.settings.problem import Problem, error_at, shown
from gateway.settings.schema import Configuration

_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "cookie"})
_FRAMING = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("host", "content-length", "content-encoding", "content-type", "accept-encoding"),
    }
)
"""Hop by hop (RFC 9110, 7.6.1), or what the bytes mean that follow."""
_OURS = frozenset({"traceparent", "x-request-id", "forwarded"})
_PASSED = frozenset({"accept", "openai-beta", "idempotency-key"})
"""Always passed to the upstream."""
_COMMON = frozenset({"user-agent", "cache-control", "date", "tracestate"})
_PREFIXES = ("x-turnout-", "proxy-", "sec-", "x-forwarded-")
_KEPT = _CREDENTIALS | _FRAMING | _OURS


def has_meaning(header: str) -> bool:
    """Tell whether a header says something else already than who the user is."""
    return header in _KEPT | _PASSED | _COMMON or header.startswith(_PREFIXES)


def forwarding_problems(configuration: Configuration) -> Iterator[Problem]:
    """Yield what is wrong with the headers that upstreams are to be sent."""
    for name, upstream in configuration.upstreams.items():
        for at, header in enumerate(upstream.forward_headers):
            place = ("upstreams", name, "forward_headers", at)
            if header in _KEPT or header.startswith(_PREFIXES):
                yield error_at(place, f"{shown(header)} is never taken from a caller; leave it out")
            elif header in _PASSED or header in upstream.forward_headers[:at]:
                yield error_at(place, f"{shown(header)} is passed on already; leave it out")
