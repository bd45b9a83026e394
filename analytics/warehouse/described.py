"""What an export holds, described for whoever reads it: its columns, how each value is written, and its files.

Names and types come from the lake's own tables, words and units from `analytics/dictionary.py`; nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from analytics.dictionary import CONTENT as CONTENT_WORDS
from analytics.dictionary import FATE, JOINED, unit_of
from analytics.dictionary import FEEDBACK as FEEDBACK_WORDS
from analytics.dictionary import REQUESTS as REQUESTS_WORDS
from analytics.lake.columns import COLUMNS, CONTENT_COLUMNS, FEEDBACK_COLUMNS

Form = Literal["parquet", "csv", "jsonl"]
FORMS: tuple[Form, ...] = ("parquet", "csv", "jsonl")
SCHEMA = 1
"""Version of an export's layout and of its manifest."""

MANIFEST, SCHEMA_JSON, SCHEMA_MD = "manifest.json", "schema.json", "schema.md"

_JOINED_TYPES = {
    "feedback_at": "TIMESTAMP",
    "feedback_thumb": "VARCHAR",
    "feedback_rating": "TINYINT",
    "feedback_signals": "VARCHAR[]",
}
_JUDGED = ("feedback_id", "received_at", "application", "status", "request_id", "thumb", "rating", "signal")
_TEXT = {"UUID": "VARCHAR"}
"""Types that not every reader of Parquet knows, and what they become."""
_HEXADECIMAL = frozenset({"user_hash"})

DATASETS: Mapping[str, Mapping[str, str]] = {
    "requests": {**COLUMNS, **_JOINED_TYPES},
    "feedback": {name: {**FEEDBACK_COLUMNS, "status": "VARCHAR"}[name] for name in _JUDGED},
    "content": CONTENT_COLUMNS,
}
"""The lake's types of each dataset's columns, in the files' order."""

_WORDS: Mapping[str, Mapping[str, str]] = {
    "requests": {**REQUESTS_WORDS, **JOINED},
    "feedback": {**FEEDBACK_WORDS, **FATE},
    "content": CONTENT_WORDS,
}
_SAID = {
    "requests": "One row for each request, each once, with the feedback that counts for it.",
    "feedback": "One row for each piece of feedback, with what became of it.",
    "content": "One row for each body that was kept: what was asked, answered or commented.",
}
_KEYS = {"requests": "request_id", "feedback": "feedback_id", "content": None}


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: `type` is its SQL type in Parquet, `written` is how CSV and JSON lines spell it."""

    name: str
    type: str
    written: str
    unit: str | None
    meaning: str


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of an export; no two rows have the same `key`."""

    name: str
    key: str | None
    meaning: str
    columns: Sequence[Column]


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """An export's `schema.json`."""

    turnout_export: int
    format: Form
    null: str
    datasets: Sequence[Dataset]


class ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of an export, and how many rows it has; None: it has none of its own."""

    name: str
    size_bytes: int
    sha256: str
    rows: int | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """An export's last file. Times are microseconds since 1970 UTC; `as_of`: what the lake held then is in it."""

    turnout_export: int
    as_of: int
    lake: str
    format: Form
    since: int | None
    until: int | None
    rollout: str | None
    application: str | None
    rows: Mapping[str, int]
    files: Sequence[ExportedFile]


def written_as(name: str, kind: str, form: Form) -> str:
    """Return the SQL that gives a column's value as this form writes it."""
    if name in _HEXADECIMAL:
        return f"lower(hex({name}))"
    if kind in _TEXT:
        return f"{name}::{_TEXT[kind]}"
    if form == "parquet":
        return name
    if kind == "TIMESTAMP":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind == "BLOB":
        return f"to_base64({name})"
    return f"to_json({name})::VARCHAR" if form == "csv" and _is_nested(kind) else name


def described(names: Sequence[str], form: Form) -> Described:
    """Return the description of some datasets."""
    null = {"parquet": "NULL", "csv": 'an empty cell; an empty text is ""', "jsonl": "null"}[form]
    found = [
        Dataset(
            name=name,
            key=_KEYS[name],
            meaning=_SAID[name],
            columns=[_column(name, column, kind) for column, kind in DATASETS[name].items()],
        )
        for name in names
    ]
    return Described(turnout_export=SCHEMA, format=form, null=null, datasets=found)


def as_text(found: Described) -> str:
    """Return the same for people, in Markdown."""
    made = f"Made by `turnout lake export`, in the format {found.format}."
    null = f"NULL (*not known*, or *did not happen*; never written as 0) is {found.null}."
    lines = ["# What this export holds", "", f"{made} {null}"]
    lines += ["", "`manifest.json` lists the files, with their rows, sizes and SHA-256."]
    for dataset in found.datasets:
        key = f" `{dataset.key}` is its key." if dataset.key else ""
        lines += ["", f"## {dataset.name}", "", f"{dataset.meaning}{key}", ""]
        lines += ["| column | type | written in CSV and JSON lines | unit | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{one.name}` | `{one.type}` | {one.written} | {one.unit or ''} | {one.meaning} |"
            for one in dataset.columns
        ]
    return "\n".join([*lines, ""])


def _column(dataset: str, name: str, kind: str) -> Column:
    exported = "VARCHAR" if name in _HEXADECIMAL else _TEXT.get(kind, kind)
    meaning = _WORDS[dataset][name]
    return Column(name=name, type=exported, written=_spelling(name, kind), unit=unit_of(name), meaning=meaning)


def _spelling(name: str, kind: str) -> str:
    if name in _HEXADECIMAL:
        return "32 hexadecimal digits"
    if _is_nested(kind):
        return "JSON; in CSV as one text"
    return {
        "UUID": "text of 36 characters",
        "TIMESTAMP": "ISO 8601, UTC: 2026-11-22T14:30:00.000000Z",
        "BLOB": "base64",
        "VARCHAR": "text",
        "BOOLEAN": "true, false",
    }.get(kind, "number")


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT(", "MAP("))
