"""Make one string, number or other scalar that a JSON schema accepts. Pure.

Every maker takes the schema, random numbers, and whether values shall differ from call to call (`vary`).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from random import Random
from typing import Any

Schema = dict[str, Any]


class UnanswerableError(ValueError):
    """No value was found that the schema accepts; the message says why."""


_FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "P1D",
    "email": "buyer@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "0b1d7f2e-6a52-4c1b-9a3d-5f0e8c7a4b21",
    "uri": "https://example.com/",
}
_PHRASES = ("simulated text", "an open order", "the second offer", "a friendly reminder", "next quarter")
_PATTERN_TRIES = (
    *_FORMATS.values(),
    *_PHRASES,
    *("7" * length for length in range(1, 17)),
    *("A" * length for length in range(1, 9)),
    *("a" * length for length in range(1, 9)),
    *(
        f"{'A' * letters}{dash}{'7' * digits}"
        for letters in range(1, 5)
        for dash in ("", "-")
        for digits in range(1, 7)
    ),
    *("+15555550123", "555-0123", "#a1b2c3", "1.0.0", "12:30", "true", ""),
)
_USUAL = 3
_SPAN = 1_000


def text(schema: Schema, rng: Random, *, vary: bool) -> str:
    """Return a string within `minLength` and `maxLength`, of the schema's `format`, matching its `pattern`.

    Raises:
        UnanswerableError: the lengths contradict each other, or no known text matches the pattern.
    """
    least: int = schema.get("minLength", 0)
    most: int | None = schema.get("maxLength")
    if most is not None and most < least:
        message = f"minLength {least} is above maxLength {most}"
        raise UnanswerableError(message)
    if "pattern" in schema:
        return _patterned(schema["pattern"], least, most)
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    made = f"{rng.choice(_PHRASES)} {rng.randrange(10**6)}" if vary else rng.choice(_PHRASES)
    if most is not None and vary:
        made = made[::-1]
    while len(made) < least:
        made += f" {made}"
    return made if most is None else made[:most]


def either(_schema: Schema, rng: Random, **_vary: bool) -> bool:
    """Return true or false."""
    return rng.random() < 0.5


def nothing(_schema: Schema, _rng: Random, **_vary: bool) -> None:
    """Return JSON's null."""


def _patterned(pattern: str, least: int, most: int | None) -> str:
    try:
        found = re.compile(pattern)
    except re.error as error:
        message = f"pattern {pattern!r} is not a regular expression: {error}"
        raise UnanswerableError(message) from error
    for made in _PATTERN_TRIES:
        if len(made) >= least and (most is None or len(made) <= most) and found.search(made):
            return made
    message = f"the simulated server knows no text for pattern {pattern!r}; use an enum or leave the pattern out"
    raise UnanswerableError(message)


def _bounds(schema: Schema) -> tuple[float, float]:
    return (
        max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf)),
        min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf)),
    )


def _inside(value: float, schema: Schema) -> bool:
    lower, upper = _bounds(schema)
    return (
        lower <= value <= upper and value != schema.get("exclusiveMinimum") and value != schema.get("exclusiveMaximum")
    )


def whole_number(schema: Schema, rng: Random, *, vary: bool) -> int:
    """Return an integer within the bounds, a multiple of `multipleOf`.

    Raises:
        UnanswerableError: there is none.
    """
    step = Fraction(str(schema.get("multipleOf", 1)))
    stride = step.numerator if step > 0 else 1
    lower, upper = _bounds(schema)
    wanted = _USUAL if not vary else rng.randint(0, _SPAN) + (0 if math.isinf(lower) else math.ceil(lower))
    return int(_multiple(wanted, Fraction(stride), lower, upper, schema))


def number(schema: Schema, rng: Random, *, vary: bool) -> float:
    """Return a number within the bounds, a multiple of `multipleOf`.

    Raises:
        UnanswerableError: there is none.
    """
    lower, upper = _bounds(schema)
    if "multipleOf" in schema:
        made = _multiple(_USUAL, Fraction(str(schema["multipleOf"])), lower, upper, schema)
        return int(made) if made.denominator == 1 else float(made)
    near = 0.0 if math.isinf(lower) else lower
    tries = [near + _SPAN * rng.random()] if vary else [1.5]
    if not math.isinf(lower) and not math.isinf(upper):
        tries += [lower + (upper - lower) * rng.random(), lower + (upper - lower) / 2]
    tries += [lower, upper, lower + 1, upper - 1, math.nextafter(lower, math.inf), math.nextafter(upper, -math.inf)]
    for made in tries:
        if not math.isinf(made) and _inside(made, schema):
            return made
    message = f"no number lies within {schema}"
    raise UnanswerableError(message)


def _multiple(wanted: int, step: Fraction, lower: float, upper: float, schema: Schema) -> Fraction:
    """Return the multiple of `step` that is nearest to `wanted` among those within the bounds."""
    if step <= 0:
        message = f"multipleOf must be above 0, not {step}"
        raise UnanswerableError(message)
    place = Fraction(min(max(wanted, lower), upper)) if lower <= upper else Fraction(wanted)
    for times in (
        math.ceil(place / step),
        math.floor(place / step),
        math.ceil(place / step) + 1,
        math.floor(place / step) - 1,
    ):
        if _inside(float(times * step), schema):
            return times * step
    message = f"no multiple of {step} lies within the schema's bounds"
    raise UnanswerableError(message)
