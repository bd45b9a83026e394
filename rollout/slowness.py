"""By what factor a candidate is slower than base, in words: from raw rows if they were asked, or two points. Pure.

Every tick knows how many of candidate's requests exceed base's quantile, and how many the margin's multiple of it.
Between these two points the factor is read off a straight line (in its logarithm); beyond them it is only known on
which side it lies. The bound agrees with the verdict either way.
"""

from __future__ import annotations

from analytics.quantile import LatencyRatio, latency_ratio, ratio_words
from rollout.checks import Reading
from rollout.phrases import rates

_ROUNDING = 1e-9


def slower(reading: Reading) -> str:
    """Return how many requests of each arm are slower than base's quantile was."""
    candidate, base = rates(reading.found.candidate, reading.found.base)
    return f"{candidate} of candidate's requests and {base} of base's are slower than base's {reading.check}"


def two_points(reading: Reading, multiplier: float) -> LatencyRatio | None:
    """Return the ratio as far as it lies between 1 and the margin; `multiplier` of the standard error for its interval.

    None where the margin is 1, and where nothing of base is slow.
    """
    beyond, margin = reading.sums.candidate.y, reading.margin.ratio
    if beyond is None or margin <= 1:
        return None
    return latency_ratio(reading.sums.base, {1.0: reading.sums.candidate.x, margin: beyond}, multiplier=multiplier)


def bounded(reading: Reading, multiplier: float) -> str:
    """Return the ratio and its upper bound of a look that passes."""
    if reading.ratio is not None:
        value, _, high = reading.ratio
        return f"Ratio {ratio_words(value)}, at most {ratio_words(high)}"
    found = two_points(reading, multiplier)
    if found is None:
        return f"Ratio at most {reading.margin.ratio:.2f}"
    return f"Ratio {_side(reading, found.value, 'about ')}, at most {max(1.0, found.high):.2f}"


def unbounded(reading: Reading, multiplier: float) -> str:
    """Return the ratio and what is not known of it at a look that does not pass."""
    if reading.ratio is not None:
        value, _, high = reading.ratio
        return f"Ratio {ratio_words(value)}, at most {ratio_words(high)}"
    found = two_points(reading, multiplier)
    if found is None:
        return slower(reading)
    known = _side(reading, found.value, "about ")
    return f"Ratio {known}" if known.startswith("above") else f"Ratio {known}, perhaps above the margin"


def so_far(reading: Reading, multiplier: float | None) -> str:
    """Return the ratio with its interval; `multiplier` None: nothing is known yet by which to make one."""
    check = reading.check
    if reading.ratio is not None:
        value, low, high = map(ratio_words, reading.ratio)
        return f"{check} ratio {value} (95 % interval {low}\u2013{high})"
    found = two_points(reading, multiplier or 0.0)
    if found is None:
        return f"{check}: {slower(reading)}"
    value = f"{check} ratio {_side(reading, found.value, 'about ')}"
    if multiplier is None:
        return value
    return f"{value} (95 % interval {_side(reading, found.low)} to {_side(reading, found.high)})"


def _side(reading: Reading, value: float, head: str = "") -> str:
    if value <= 1 + _ROUNDING:
        return "below 1"
    margin = reading.margin.ratio
    return f"above {margin:.2f}" if value >= margin * (1 - _ROUNDING) else f"{head}{value:.2f}"
