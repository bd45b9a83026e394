"""Compare a parsed TOML tree with the schema, and name every difference, not only the first. Pure.

The schema is read by msgspec's own inspection, so that a key is declared once: in `schema.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, cast

from msgspec import inspect

from gateway.settings.problem import Keys, Problem, dotted, error_at, nearest, quoted, shown
from gateway.settings.schema import SecretRef

_EXAMPLES = {
    "base_url": 'base_url = "https://api.openai.com/v1"',
    "upstream": 'upstream = "NAME", one of the [upstreams.NAME]',
    "base": 'base = "MODEL", the model that serves now',
    "candidate": 'candidate = "MODEL", the fine-tuned model',
    "phase": 'phase = "canary", "beta" or "ga"',
    "percent": "percent = 5, the candidate's share of users",
    "start": 'start = "fri 16:00" or "2026-12-20T00:00:00Z"',
    "end": 'end = "mon 08:00" or "2027-01-02T00:00:00Z"',
    "input": "input = 0.15, USD per million tokens",
    "output": "output = 0.60, USD per million tokens",
}
_LITERAL_REFUSED = 'a secret never stands in this file; write { env = "NAME" } or { file = "/path" }'
_INT64 = 2**63


def shape_problems(tree: object, schema: type) -> Iterator[Problem]:
    """Yield every unknown key, missing key, and value of a wrong type or outside its range."""
    yield from _differences(tree, inspect.type_info(schema), ())


def _differences(value: object, wanted: inspect.Type, keys: Keys) -> Iterator[Problem]:
    match wanted:
        case inspect.UnionType():
            yield from _differences(value, _not_none(wanted), keys)
        case inspect.StructType():
            yield from _table(value, wanted, keys)
        case inspect.DictType():
            yield from _named_tables(value, wanted, keys)
        case inspect.VarTupleType():
            yield from _array(value, wanted, keys)
        case _:
            yield from _leaf(value, wanted, keys)


def _not_none(wanted: inspect.UnionType) -> inspect.Type:
    return next(member for member in wanted.types if not isinstance(member, inspect.NoneType))


def _table(value: object, wanted: inspect.StructType, keys: Keys) -> Iterator[Problem]:
    if wanted.cls is SecretRef and not isinstance(value, dict):
        yield error_at(keys, _LITERAL_REFUSED)
        return
    if not isinstance(value, dict):
        yield error_at(keys, f"{shown(value)} stands where a table belongs; known keys: {_names(wanted)}")
        return
    table = cast("dict[str, Any]", value)
    split = _split_name(table, wanted, keys)
    if split is not None:
        yield split
        return
    known = {field.name: field for field in wanted.fields}
    unknown = {key: nearest(key, known) for key in table if key not in known}
    for key, near in unknown.items():
        yield error_at(keys, f"unknown key {quoted(key)}{near or f'; known keys: {_names(wanted)}'}")
    for name, field in known.items():
        if name in table:
            yield from _differences(table[name], field.type, (*keys, name))
        elif field.required and not any(quoted(name) in near for near in unknown.values()):
            yield error_at(keys, f"{quoted(name)} is missing; add {_EXAMPLES.get(name, name)}")


def _split_name(table: dict[str, Any], wanted: inspect.StructType, keys: Keys) -> Problem | None:
    """Recognise `[models.gpt-4.1]`, which TOML reads as a table `1` inside `gpt-4`."""
    known = {field.name for field in wanted.fields}
    inner = next((key for key, value in table.items() if isinstance(value, dict) and key not in known), None)
    if len(keys) != 2 or inner is None or nearest(inner, known):
        return None
    whole = f"{keys[1]}.{inner}"
    message = (
        f"{quoted(inner)} is read as a table inside; a name with a dot stands in quotes: [{keys[0]}.{quoted(whole)}]"
    )
    return error_at(keys, message)


def _named_tables(value: object, wanted: inspect.DictType, keys: Keys) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield error_at(keys, f"{shown(value)} stands where named tables belong; write [{dotted(keys)}.NAME]")
        return
    for name, inner in cast("dict[str, Any]", value).items():
        yield from _differences(inner, wanted.value_type, (*keys, name))


def _array(value: object, wanted: inspect.VarTupleType, keys: Keys) -> Iterator[Problem]:
    if not isinstance(value, list):
        secret = isinstance(wanted.item_type, inspect.StructType) and wanted.item_type.cls is SecretRef
        found = "one value" if secret else shown(value)
        yield error_at(keys, f"{found} stands where an array belongs; write it in brackets: [...]")
        return
    items = cast("list[Any]", value)
    if wanted.max_length is not None and len(items) > wanted.max_length:
        yield error_at(keys, f"{len(items)} entries are more than the {wanted.max_length} that there may be; join some")
        return
    for at, item in enumerate(items):
        yield from _differences(item, wanted.item_type, (*keys, at))


def _leaf(value: object, wanted: inspect.Type, keys: Keys) -> Iterator[Problem]:
    secret = "env" in keys[-1:] or "file" in keys[-1:]
    described, plain = _unwrapped(wanted)
    match plain:
        case inspect.LiteralType():
            if value not in plain.values:
                near = nearest(value, map(str, plain.values)) if isinstance(value, str) else ""
                yield error_at(keys, f"{shown(value)} is not known{near or f'; write {_choice(plain)}'}")
            return
        case inspect.StrType():
            fits = _text_fits(value, plain)
            phrase = described or _text_phrase(plain)
        case inspect.IntType() | inspect.FloatType():
            fits = _number_fits(value, plain)
            phrase = _number_phrase(plain)
        case inspect.BoolType():
            fits = isinstance(value, bool)
            phrase = "true or false without quotes"
        case _:
            return
    if not fits:
        yield error_at(keys, f"{'(hidden)' if secret else shown(value)} does not fit; write {phrase}")


def _unwrapped(wanted: inspect.Type) -> tuple[str, inspect.Type]:
    if isinstance(wanted, inspect.Metadata):
        schema: dict[str, str] = cast("Any", wanted).extra_json_schema or {}
        return schema.get("description", ""), wanted.type
    return "", wanted


def _text_fits(value: object, wanted: inspect.StrType) -> bool:
    return (
        isinstance(value, str)
        and (wanted.min_length or 0) <= len(value) <= (wanted.max_length or math.inf)
        and (wanted.pattern is None or re.search(wanted.pattern, value) is not None)
    )


def _text_phrase(wanted: inspect.StrType) -> str:
    if wanted.max_length is None:
        return "text in quotes"
    return f"text of {wanted.min_length or 0} to {wanted.max_length} characters in quotes"


def _number_fits(value: object, wanted: inspect.IntType | inspect.FloatType) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float) and isinstance(wanted, inspect.FloatType)):
        return False
    number = cast("int | float", value)
    return (
        -_INT64 <= number < _INT64
        and (wanted.ge is None or number >= wanted.ge)
        and (wanted.gt is None or number > wanted.gt)
        and (wanted.le is None or number <= wanted.le)
        and (wanted.lt is None or number < wanted.lt)
    )


def _number_phrase(wanted: inspect.IntType | inspect.FloatType) -> str:
    kind = "a whole number" if isinstance(wanted, inspect.IntType) else "a finite number"
    limits = (
        (wanted.gt, "above"),
        (wanted.ge, "from"),
        (wanted.le, "to"),
        (wanted.lt, "below"),
    )
    said = " ".join(
        f"{word} {limit:g}" if limit < 1e6 else f"{word} {int(limit)}" for limit, word in limits if limit is not None
    )
    return f"{kind} {said}".rstrip() + " without quotes"


def _choice(wanted: inspect.LiteralType) -> str:
    return " or ".join(quoted(str(value)) for value in sorted(map(str, wanted.values)))


def _names(wanted: inspect.StructType) -> str:
    return ", ".join(field.name for field in wanted.fields)
