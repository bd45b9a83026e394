"""The figures as they are kept, in `benchmarks/results/gates.json`, and as people read them, in docs/statistics.md.

The page's tables are made of the kept figures alone, so that neither can say what the other does not.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gates.runs import Table, number

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results" / "gates.json"
PAGE = ROOT / "docs" / "statistics.md"
BEGIN, END = "<!-- simulations: begin -->", "<!-- simulations: end -->"


def kept_tables(path: Path = KEPT) -> dict[str, dict[str, Any]]:
    """Return the kept figures by table; nothing when nothing was ever played."""
    if not path.exists():
        return {}
    return {each["name"]: each for each in json.loads(path.read_text())["tables"]}


def keep(results: Iterable[Mapping[str, Any]], path: Path = KEPT) -> None:
    """Put the results in the place of those of the same tables, with where and when they were made."""
    made = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "python": platform.python_version()}
    whole = kept_tables(path) | {each["name"]: {**made, **each} for each in results}
    path.write_text(json.dumps({"tables": list(whole.values())}, indent=1) + "\n")


def publish(tables: Iterable[Table], path: Path = PAGE) -> None:
    """Write the kept figures into the page."""
    text = path.read_text("utf-8")
    path.write_text(with_figures(text, sections(tables, kept_tables())), "utf-8")


def with_figures(text: str, figures: str) -> str:
    """Return the page's text with these figures between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{figures}\n{END}{tail}"


def sections(tables: Iterable[Table], kept: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the page says of every table that was played, in the tables' order."""
    return "\n".join(_section(table, kept[table.name]) for table in tables if table.name in kept)


def _section(table: Table, result: Mapping[str, Any]) -> str:
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    shown = [name for name in table.figures if any(name in row["figures"] for row in rows)]
    head = f"| | {' | '.join(shown)} |\n|---|{'---|' * len(shown)}"
    lines = [f"| {row['case']} | {' | '.join(cell(row['figures'].get(name)) for name in shown)} |" for row in rows]
    spent = f"{result['cpu_s'] / 60:.1f} minutes of one processor"
    played = f"{result['runs']:,} runs a row, seed {result['seed']}, {spent}."
    notes = [f"- {row['case']}: {row['note']}" for row in rows if "note" in row]
    return "\n".join(
        [f"### {table.title}", "", f"{table.words} {played}", "", head, *lines, "", *notes, *[""][: len(notes)]]
    )


def cell(figure: Mapping[str, Any] | None) -> str:
    """Return a figure as a table shows it: bold where it misses its aim, the reference behind it where it strays."""
    if figure is None:
        return ""
    text = number(figure["value"])
    if not figure["is_met"]:
        text = f"**{text}**"
    return f"{text} (reference {number(figure['reference'])})" if figure["differs"] else text
