"""Lengths of time as people write them in a file, and as they are read out to them. Pure."""

from __future__ import annotations

import re

DAY_S = 86_400.0
HOUR_S = 3600.0
LONGEST_S = 365 * DAY_S
_UNITS = {"w": 7 * DAY_S, "d": DAY_S, "h": HOUR_S, "m": 60.0, "s": 1.0}
_WRITTEN = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,3})?[wdhms] ?){1,5}", re.ASCII)
_PART = re.compile(r"([0-9.]+)([wdhms])")
_REMEDY = 'write a number and a unit (w, d, h, m or s), such as "2d", "90s" or "1h30m"'


class BadDurationError(ValueError):
    """A text that is no length of time; the message is what is wrong with it, and the remedy."""


def parse_duration(text: str) -> float:
    """Return the seconds of a text such as `2d`, `90s`, `1h30m` or `0.5d`: above 0, at most 365 days.

    Raises:
        BadDurationError: it is not of this form, names a unit twice or behind a smaller one, or is out of range.
    """
    parts = _PART.findall(text) if _WRITTEN.fullmatch(text) and not text.endswith(" ") else []
    if not parts:
        message = f"is no length of time; {_REMEDY}"
        raise BadDurationError(message)
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(_UNITS).index):
        message = f"has its units in another order than w, d, h, m, s, or one twice; {_REMEDY}"
        raise BadDurationError(message)
    total = round(sum(float(number) * _UNITS[unit] for number, unit in parts), 3)
    if not 0 < total <= LONGEST_S:
        message = 'is not above 0 and at most 365 days; write such as "2d" or "90s"'
        raise BadDurationError(message)
    return total


def spoken(seconds: float) -> str:
    """Return a length of time in its two largest units: `2 d 4 h`, `19 h`, `1 min 30 s`, `12 s`. Below 0 is 0.

    Rounded to the smaller of the two, so that a wait of 3 min 59.9 s is called 4 min.
    """
    left = max(0.0, seconds)
    for (large, large_s), (small, small_s) in (("d", DAY_S), ("h", HOUR_S)), (("h", HOUR_S), ("min", 60.0)):
        if round(left / small_s) * small_s >= large_s:
            return _two(round(left / small_s), round(large_s / small_s), large, small)
    if round(left) >= 60:
        return _two(round(left), 60, "min", "s")
    return f"{round(left)} s" if left >= 10 or left == round(left) else f"{left:.1f} s"


def _two(count: int, per: int, large: str, small: str) -> str:
    whole, rest = divmod(count, per)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
