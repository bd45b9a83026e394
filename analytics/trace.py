"""The trace that a request belongs to, by W3C Trace Context: its ids, and the header that carries them. Pure.

A request's span is made of its record, long after; so all that is decided while it runs stands in its ids. The last bit
of a span id is the sampled flag, and each try at an upstream has an id that follows from the request's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HEADER = "traceparent"
NOISE_BYTES = 16
"""What a new trace needs of randomness."""

_FORM = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
_LONGEST_BYTES = 512
_FIRST_VERSION = b"00"
_RANDOM_BYTES = 7
"""The rightmost bytes of a trace id, by which a share of traces is chosen (Trace Context, level 2)."""
_TOP_BIT = 1 << 63


class Trace(NamedTuple):
    """A request's place in a trace, as lower-case hexadecimal digits: 32, 16 and 16; no parent: it begins here."""

    trace_id: str
    span_id: str
    parent_span_id: str | None


def continued(header: bytes, request_id: str) -> Trace | None:
    """Return the place of a request whose caller sent this `traceparent`; None if that cannot be one."""
    found = _FORM.fullmatch(header) if len(header) <= _LONGEST_BYTES else None
    if found is None or (found["more"] is not None and header.startswith(_FIRST_VERSION)):
        return None
    sampled = int(found["flags"], 16) & 1
    return Trace(found["trace"].decode(), _span_id(request_id, sampled), found["parent"].decode())


def begun(noise: bytes, request_id: str, share: float) -> Trace:
    """Return a new trace made of `NOISE_BYTES` random bytes; `share` of all (0 to 1) are sampled."""
    chance = int.from_bytes(noise[-_RANDOM_BYTES:]) / (1 << 8 * _RANDOM_BYTES)
    return Trace(noise.hex(), _span_id(request_id, int(chance < share)), None)


def is_sampled(span_id: str) -> bool:
    """Tell whether the span of a request is wanted whatever becomes of it."""
    return int(span_id[-1], 16) & 1 == 1


def attempt_span_id(span_id: str, number: int) -> str:
    """Return the id of a request's try at an upstream, 1 being the first; none of them is any request's own.

    The ids of requests begin with a set bit, those of tries do not; a number stands above the last bit.
    """
    return f"{int(span_id, 16) ^ (_TOP_BIT | number << 1):016x}"


def traceparent(trace_id: str, span_id: str, number: int) -> str:
    """Return the header for a try at an upstream."""
    return f"00-{trace_id}-{attempt_span_id(span_id, number)}-0{int(is_sampled(span_id))}"


def _span_id(request_id: str, sampled: int) -> str:
    """Return 16 digits of a UUID's last half, which is random but for its first two bits: 1 and 0."""
    return f"{request_id[19:23]}{request_id[24:35]}{int(request_id[35], 16) & 14 | sampled:x}"
