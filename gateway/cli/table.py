"""Tables for people, JSON for programs: the only place that prints results."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

import msgspec


def write_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, figures: Collection[int] = ()) -> None:
    """Print rows under headings; a None shows as `-`, columns of numbers and those in `figures` stand at the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(line[at]) for line in [list(headings), *texts]) for at in range(len(headings))]
    numbers = {
        at for at in range(len(headings)) if rows and all(isinstance(row[at], int | float | None) for row in rows)
    }
    right = [at in numbers or at in figures for at in range(len(headings))]
    for line in [list(headings), *texts]:
        cells = [
            cell.rjust(width) if at else cell.ljust(width) for cell, width, at in zip(line, widths, right, strict=True)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def write_json(value: object) -> None:
    """Print one value as indented JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.2f}".rstrip("0").rstrip(".")
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)
