"""Series as text, in the format that Prometheus scrapes (text format 0.0.4). No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from analytics.telemetry.names import Instrument
from analytics.telemetry.series import Family, Labels, Spread

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EXACT = 2**53


def exposition(families: Iterable[Family]) -> str:
    """Return the page; a family without points is there with its type, so that nobody takes it for misspelt."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    instrument = family.instrument
    yield f"# HELP {instrument.name} {_told(instrument.told)}"
    yield f"# TYPE {instrument.name} {instrument.kind}"
    for labels, value in family.points:
        if isinstance(value, Spread):
            yield from _spread_lines(instrument, labels, value)
        else:
            yield f"{instrument.name}{_braces(instrument.labels, labels)} {_number(value)}"


def _spread_lines(instrument: Instrument, labels: Labels, spread: Spread) -> Iterator[str]:
    names = (*instrument.labels, "le")
    reached = list(accumulate(spread.counts))
    for bound, count in zip((*instrument.bounds, math.inf), reached, strict=True):
        yield f"{instrument.name}_bucket{_braces(names, (*labels, _number(bound)))} {count}"
    plain = _braces(instrument.labels, labels)
    yield f"{instrument.name}_sum{plain} {_number(spread.total)}"
    yield f"{instrument.name}_count{plain} {reached[-1]}"


def _braces(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return _told(value).replace('"', '\\"')


def _told(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < _EXACT else repr(value)
