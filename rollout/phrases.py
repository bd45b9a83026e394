"""Numbers as people read them, with their units, in the lines of gates. Pure.

The law: two numbers that are compared in one line never look equal when they are not.
"""

from __future__ import annotations

import math

_MOST_ODDS = 1e9
_DECIMALS = (1, 2, 3, 4)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return `1 user`, `1,240 users`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def rates(*values: float) -> list[str]:
    """Return rates (0-1) in percent, with as many decimals as it takes to tell them apart, from one to four."""
    written: list[str] = []
    for decimals in _DECIMALS:
        written = [f"{100 * value:.{decimals}f} %" for value in values]
        if len(set(written)) == len(set(values)) and not any(_vanished(value, decimals) for value in values):
            break
    return written


def scores(*values: float) -> list[str]:
    """Return differences of scores (-1 to 1) with their sign, told apart as rates are."""
    written: list[str] = []
    for decimals in (2, 3, 4):
        written = [f"{round(value, decimals) + 0.0:+.{decimals}f}".replace("-", "\u2212") for value in values]
        if len(set(written)) == len(set(values)):
            break
    return written


def levels(*values: float) -> list[str]:
    """Return scores (0-1), told apart as rates are."""
    return [written.removeprefix("+") for written in scores(*values)]


def odds(ln_odds: float) -> str:
    """Return `1,240 to 1` from a natural logarithm; what is beyond a thousand million is called so."""
    if ln_odds > math.log(_MOST_ODDS):
        return f"over {int(_MOST_ODDS):,} to 1"
    value = math.exp(ln_odds)
    return f"{value:,.0f} to 1" if value >= 10 else f"{value:.2g} to 1"


def needed_odds(ln_needed: float) -> str:
    """Return the number that odds are compared with: `500`."""
    return f"{math.exp(ln_needed):,.0f}"


def listed(words: list[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _vanished(value: float, decimals: int) -> bool:
    return value != 0 and round(100 * value, decimals) == 0
