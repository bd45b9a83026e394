"""Sums over users at every tick, as the product's SQL makes them, and the product's values made of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analytics.evidence import ArmSums, CheckSums
from analytics.figures import ClusterSums
from benchmarks.gates.drawn.counts import Counts, Floats

_CAP_QUANTILE = 0.95


def caps(counts: Counts) -> Floats:
    """Return, per tick, how many requests of one user count in full: a quantile over base's users with any, at least 1.

    Interpolated linearly, as DuckDB's `quantile_cont`.
    """
    ordered = np.sort(counts.n[:, : counts.base], axis=1)
    absent = (ordered == 0).sum(axis=1)
    last = ordered.shape[1] - 1
    at = np.minimum(absent + _CAP_QUANTILE * np.maximum(last - absent, 0), last)
    low = np.floor(at).astype(int)
    rows = np.arange(len(ordered))
    below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, last)]
    return np.maximum(1.0, below + (at - low) * (above - below))


def check_sums(counts: Counts) -> list[CheckSums]:
    """Return, per tick, the sums of one check as a look reads them."""
    cap = caps(counts)
    base, candidate = (_arm(counts, part, cap) for part in _parts(counts))
    return [
        CheckSums(cap=float(c), base=one, candidate=other) for c, one, other in zip(cap, base, candidate, strict=True)
    ]


def uncapped(counts: Counts) -> list[tuple[ClusterSums, ClusterSums]]:
    """Return, per tick, the plain sums of base and candidate: what rules without a cap read."""
    arms = (_clusters(counts.n[:, part], counts.x[:, part]) for part in _parts(counts))
    return list(zip(*arms, strict=True))


def drift(counts: Counts, cap: Floats, day_ticks: int) -> list[float | None]:
    """Return, per tick, the monitor's correlation of what came after a past midnight with what came before; the worst.

    Users are weighted as at the tick's look.
    """
    worst: list[float | None] = []
    for now in range(len(counts.n)):
        midnights = np.arange(day_ticks - 1, now, day_ticks)
        worst.append(_worst(counts, cap[now], np.append(midnights, now)) if len(midnights) else None)
    return worst


def _worst(counts: Counts, cap: float, rows: NDArray[np.int64]) -> float | None:
    n_now, x_now = counts.n[rows[-1]], counts.x[rows[-1]]
    weight = np.where(n_now > cap, cap / np.maximum(n_now, 1.0), 1.0)
    gain = np.empty(len(n_now))
    ratio = np.empty(len(n_now))
    totals: list[float] = []
    for part in _parts(counts):
        totals.append(float(weight[part] @ n_now[part]))
        ratio[part] = float(weight[part] @ x_now[part]) / totals[-1] if totals[-1] else 0.0
    gain[: counts.base] = totals[1] / totals[0] if totals[0] else 0.0
    gain[counts.base :] = 1.0
    psi = gain * weight * (counts.x[rows] - ratio * counts.n[rows])
    past, later = psi[:-1], psi[-1] - psi[:-1]
    scale = np.sqrt((past**2).sum(axis=1) * (later**2).sum(axis=1))
    known = scale > 0
    return float(((past * later).sum(axis=1)[known] / scale[known]).min()) if known.any() else None


def _parts(counts: Counts) -> tuple[slice, slice]:
    return slice(0, counts.base), slice(counts.base, counts.n.shape[1])


def _arm(counts: Counts, part: slice, cap: Floats) -> list[ArmSums]:
    n, x = counts.n[:, part], counts.x[:, part]
    weight = np.where(n > cap[:, None], cap[:, None] / np.maximum(n, 1.0), 1.0)
    xs = _clusters(n * weight, x * weight)
    ys = None if counts.y is None else _clusters(n * weight, counts.y[:, part] * weight)
    requests, events = n.sum(axis=1), x.sum(axis=1)
    return [
        ArmSums(requests=int(requests[tick]), events=int(events[tick]), x=xs[tick], y=ys[tick] if ys else None)
        for tick in range(len(n))
    ]


def _clusters(n: Floats, x: Floats) -> list[ClusterSums]:
    users = np.count_nonzero(n, axis=1)
    pairs = ((x, x), (x, n), (n, n))
    columns = (n.sum(axis=1), x.sum(axis=1), *(np.einsum("tu,tu->t", one, other) for one, other in pairs))
    return [
        ClusterSums(
            users=int(users[tick]),
            **{name: float(column[tick]) for name, column in zip(("n", "x", "xx", "xn", "nn"), columns, strict=True)},
        )
        for tick in range(len(n))
    ]
