"""Reads a printed table of two arms back, and finds each number that is not the expected one to its last digit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

LINES = {
    "users": ("users", 1),
    "requests": ("requests", 1),
    "answers": ("answers", 1),
    "failed": ("error_rate", 100),
    "half answered within (p50)": ("latency_p50_ms", 1),
    "99 of 100 answered within (p99)": ("latency_p99_ms", 1),
    "first words within, half of streams (TTFT)": ("ttft_p50_ms", 1),
    "time per output token": ("output_token_ms", 1),
    "tokens per answer": ("output_tokens", 1),
    "cost per request": ("cost_usd", 1),
    "total cost": ("total_cost_usd", 1),
    "requests of unknown cost": ("cost_unknown", 1),
    "satisfied users, of those who rated": ("satisfaction", 100),
    "thumbs up, of all thumbs": ("thumbs_up", 100),
    "stars, on average": ("stars", 1),
    "answers that were rated": ("response_rate", 100),
    "answers made anew (regenerated)": ("regenerated", 100),
    "answers copied": ("copied", 100),
    "answers edited": ("edited", 100),
}
"""By a line's words: its name in the JSON, and by how much the table multiplies it."""

_NUMBER = re.compile(r"[+-]?\$?\d[\d,]*(?:\.\d+)?")


def wrong_digits(text: str, expected: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each printed number that is not the expected one, rounded to as many digits as are printed."""
    for line in text.splitlines():
        words, *cells = re.split(r"\s{2,}", line.rstrip())
        if words in LINES and len(cells) > 1:
            name, scale = LINES[words]
            for arm, cell in zip(("base", "candidate"), cells, strict=False):
                yield from _compared(f"{words}, {arm}", cell, _arm(words, expected[arm], name, scale))
            apart = expected["difference"].get(name)
            if apart is not None:
                yield from _compared(f"{words}, apart", " ".join(cells[2:]), _apart(apart, scale))


def lines_in(text: str) -> set[str]:
    """Return the names of the figures that a table has a line for."""
    found = {re.split(r"\s{2,}", line)[0] for line in text.splitlines()}
    return {LINES[words][0] for words in found & set(LINES)}


def _arm(words: str, arm: Mapping[str, Any], name: str, scale: float) -> list[float]:
    """Return the numbers that stand in an arm's cell, in their order; none for a `-`."""
    figure = arm[name]
    if not isinstance(figure, Mapping):
        return [] if figure is None or (name == "cost_unknown" and not arm["requests"]) else [figure]
    if figure["value"] is None:
        return []
    shown = [figure["value"] * scale]
    if words == "failed":
        return [arm["errors"], *shown]
    return [*shown, figure["of"]] if scale > 1 or name == "stars" else shown


def _apart(apart: Mapping[str, Any], scale: float) -> list[float]:
    parts = [(apart[name], scale) for name in ("value", "low", "high")]
    parts += [(apart[name], 1) for name in ("ratio", "ratio_low", "ratio_high")]
    return [value * times for value, times in parts if value is not None]


def _compared(place: str, cell: str, expected: list[float]) -> Iterator[str]:
    found = [match.replace("$", "").replace(",", "") for match in _NUMBER.findall(cell)]
    if len(found) != len(expected):
        yield f"{place}: {cell!r} should have {expected}"
        return
    for text, value in zip(found, expected, strict=True):
        half = 0.5 * 10.0 ** -len(text.partition(".")[2])
        if abs(float(text) - value) > half * (1 + 1e-6):
            yield f"{place}: {text} is printed, and {value} is right"
