"""What passes between the console and the process that runs an analyst's statement: an order, and an answer's ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from analytics.warehouse.walls import Bounds, Walls

Form = Literal["json", "csv", "text"]
"""How rows are written: JSON arrays of values; CSV; JSON arrays of a text for each value, or null, for Parquet."""

Scalar = str | int | float | bool | None
Reason = Literal["refused", "rows", "bytes", "memory", "unconfined"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One statement, the values of its parameters, and how much it may use and give."""

    query: str
    parameters: Mapping[str, Scalar] = {}
    form: Form = "json"
    bounds: Bounds
    memory_limit_mib: int
    rows: int
    answer_bytes: int
    require_landlock: bool = False


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The answer's columns, (name, DuckDB's type) each, and the walls that it was computed behind."""

    columns: tuple[tuple[str, str], ...]
    walls: Walls


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: with so many rows, or for a `reason`, of which `message` tells more."""

    rows: int = 0
    reason: Reason | None = None
    message: str = ""
