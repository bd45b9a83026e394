"""How the rows of an analyst's answer are written: DuckDB writes each row as one text, so that no value passes Python.

A value that JSON has no number for (`NaN`, infinite) becomes the text that DuckDB writes for it, never null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_STRANGE = ("NaN", "Infinity")
_WORDS = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
_CSV = (
    """CASE WHEN c{at} IS NULL THEN '' WHEN regexp_matches(c{at}::VARCHAR, '[",\\r\\n]') OR c{at}::VARCHAR = '' """
    """THEN '"' || replace(c{at}::VARCHAR, '"', '""') || '"' ELSE c{at}::VARCHAR END"""
)


def expressions(form: str, kinds: Sequence[str]) -> str:
    """Return the SQL that makes one text of columns c0, c1, ... of these types: a row as `form` writes it."""
    columns = range(len(kinds))
    if form == "csv":
        return " || ',' || ".join(_CSV.format(at=at) for at in columns)
    if form == "text":
        texts = (f"to_json(c{at})::VARCHAR" if is_nested(kind) else f"c{at}::VARCHAR" for at, kind in enumerate(kinds))
        return f"json_array({', '.join(texts)})::VARCHAR"
    return f"json_array({', '.join(f'c{at}' for at in columns)})::VARCHAR"


def json_line(text: str) -> str:
    """Return a row as JSON has it: DuckDB writes numbers that JSON does not know."""
    if not any(word in text for word in _STRANGE):
        return text
    return json.dumps(json.loads(text, parse_constant=_WORDS.__getitem__), ensure_ascii=False, separators=(",", ":"))


def is_nested(kind: str) -> bool:
    """Tell whether a type is a list, a struct or a map; such values pass as JSON where others pass as text."""
    return kind.endswith("]") or kind.startswith(("STRUCT(", "MAP("))
