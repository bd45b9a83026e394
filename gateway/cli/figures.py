"""How figures look to people: units, decimals, signs, intervals. What is not known is None, and a `-` in the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from analytics.figures import Difference, Figure

Write = Callable[[float], str]


def known(value: float | None, write: Write) -> str | None:
    """Write a number, if it is known."""
    return None if value is None else write(value)


def count(number: int) -> str:
    """Write a number of things."""
    return f"{number:,}"


def ms(value: float) -> str:
    """Write milliseconds: whole ones from 100 on, below with what tells them apart."""
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3f} ms" if 0 < value < 1 else f"{value:.1f} ms"


def tokens(value: float) -> str:
    """Write tokens of a mean."""
    return f"{value:,.1f}"


def percent(value: float) -> str:
    """Write a share of 1 as percent."""
    return f"{value * 100:.1f} %"


def points(value: float) -> str:
    """Write the distance of two shares."""
    return f"{value * 100:.2f} points"


def stars(value: float) -> str:
    """Write a mean rating."""
    return f"{value:.2f}"


def usd(value: float) -> str:
    """Write dollars with four digits that say something: $0.0002133 and $1,234.57."""
    if value >= 1:
        return f"${value:,.2f}"
    return f"${value:.4g}" if value >= 0.0001 else f"${value:.10f}".rstrip("0").rstrip(".")


def dollars(*amounts: float | None) -> Write:
    """Return how to write amounts that stand beside each other: with the decimals of the one that needs the most."""
    decimals = max((len(usd(one).partition(".")[2]) for one in amounts if one is not None), default=0)
    return lambda value: f"${value:,.{decimals}f}"


def share(figure: Figure) -> str | None:
    """Write a share, and of how many it is one."""
    return None if figure.value is None else f"{percent(figure.value)} of {figure.of:,}"


def apart(difference: Difference, write: Write) -> str:
    """Write a difference with its sign, and its interval in brackets."""
    if difference.value is None:
        return ""
    words = _signed(difference.value, write)
    if difference.low is None or difference.high is None:
        return words
    low, high = _signed(difference.low, write), _signed(difference.high, write)
    return f"{words}  ({_bare(low, high)} to {high})"


def ratio(difference: Difference) -> str:
    """Write how many times base it is, and the interval in brackets."""
    if difference.ratio is None:
        return ""
    words = f"x{difference.ratio:.3f}"
    if difference.ratio_low is None or difference.ratio_high is None:
        return words
    return f"{words}  ({difference.ratio_low:.3f} to {difference.ratio_high:.3f})"


def line(words: str, figures: Sequence[Figure], difference: Difference, write: Write) -> Sequence[str | None]:
    """Return a row of a table of two arms: what it is, base, candidate, their difference and their ratio."""
    values = [known(one.value, write) for one in figures]
    return (words, *values, apart(difference, write), ratio(difference))


def _signed(value: float, write: Write) -> str:
    return f"{'-' if value < 0 else '+'}{write(abs(value))}"


def _bare(low: str, high: str) -> str:
    """Leave the unit out where the other end of the interval has the same."""
    unit = high.rpartition(" ")[2]
    return low.removesuffix(f" {unit}") if " " in high else low
