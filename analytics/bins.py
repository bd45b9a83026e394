"""Bins of durations: fixed, each 9 percent wider than the one before, so that the counts of two hours add up. Pure.

The only home of their bounds: the lake's rollups count by them, and the histograms of `/metrics` by every eighth. So a
quantile of any sum of bins is within 9 percent of the true one, and lies in the same bucket as Prometheus's.
DuckDB gets the same bounds as macros, for what counts and for those who ask.
"""

from __future__ import annotations

PER_OCTAVE = 8
"""Bounds from one duration to its double: each is 2 ** (1/8), or 1.0905, times the one before."""
LOWEST_MS = 0.625
_OCTAVES = 20
BINS = _OCTAVES * PER_OCTAVE + 2
"""The first one takes all up to `LOWEST_MS`, the last one what is longer than 655.36 s: requests end before."""
_MOST_MS = LOWEST_MS * 2**_OCTAVES


def octaves_s(first_s: float, count: int) -> tuple[float, ...]:
    """Return so many bounds in seconds, each twice the one before."""
    return tuple(first_s * 2**power for power in range(count))


def upper_ms(number: int) -> float:
    """Return the longest duration in a bin (1 to `BINS`), in milliseconds; infinite for the last one."""
    return LOWEST_MS * 2 ** ((number - 1) / PER_OCTAVE) if number < BINS else float("inf")


_BIN = f"""
(CASE WHEN ms <= {LOWEST_MS} THEN 1 WHEN ms > {_MOST_MS} THEN {BINS}
    ELSE ceil({PER_OCTAVE} * log2(ms / {LOWEST_MS})) + 1 END)::SMALLINT
"""
_ALL = f"""
CASE WHEN counted IS NOT NULL
    THEN list_transform(range(1, {BINS + 1}), lambda n: coalesce(counted[n::SMALLINT], 0)::INTEGER) END
"""
_MERGED = f"""
CASE WHEN count(bins) > 0 THEN [{", ".join(f"sum(bins[{number}])::BIGINT" for number in range(1, BINS + 1))}] END
"""
_QUANTILE = """
list_transform([counts], lambda known: list_transform(
    [list_transform(range(1, BINS + 1), lambda n: list_sum(known[1:n]))], lambda reached: list_transform(
        [list_position(list_transform(reached, lambda so_far: so_far >= greatest(q * reached[BINS], 1)), true)],
        lambda place: CASE WHEN reached[BINS] > 0 THEN LOWEST * pow(2, (
            least(place, BINS - 1) - 2 + CASE WHEN place IN (1, BINS) OR known[place] = 0 THEN 1
                ELSE (greatest(q * reached[BINS], 1) - reached[place - 1]) / known[place] END
        ) / PER_OCTAVE) END
    )[1]
)[1])[1]
"""
MACROS = {
    "bin_of(ms)": _BIN,
    "bins_of(counted)": _ALL,
    "merged_bins(bins)": _MERGED,
    "quantile_of(counts, q)": _QUANTILE.replace("PER_OCTAVE", f"{PER_OCTAVE}.0")
    .replace("BINS", str(BINS))
    .replace("LOWEST", str(LOWEST_MS)),
    "quantile_ms(bins, q)": "quantile_of(merged_bins(bins), q)",
}
"""What DuckDB is told, in this order.

`bin_of`: the number of a duration's bin; what is exactly a bound is below it, as in Prometheus. `bins_of`: a count for
each bin, of a map that has those alone that are not 0. `merged_bins`, an aggregate: the bins of several rows added up.
`quantile_of`: the quantile of bins, spread evenly by their logarithm within each. `quantile_ms`, an aggregate: that of
the bins of several rows.
"""
