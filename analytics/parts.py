"""In which order the parts of a divided report stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable

IN_ORDER = frozenset({"day", "hour", "step"})
"""Parts of these stand in their own order, others the weightiest first."""


def places(weighed: Iterable[tuple[str | None, float]], by: str | None) -> dict[str | None, int]:
    """Return the place of each part, from 0; a part may come several times, and then its weights add up.

    None, of requests that have none, stands last among those that have an order of their own.
    """
    weights: dict[str | None, float] = {}
    for name, weight in weighed:
        weights[name] = weights.get(name, 0.0) + weight
    if by in IN_ORDER:
        ordered = sorted(weights, key=lambda name: (name is None, len(name or "") if by == "step" else 0, name or ""))
    else:
        ordered = sorted(weights, key=lambda name: (-weights[name], name or ""))
    return {name: place for place, name in enumerate(ordered)}
