"""Make a JSON value that a JSON schema accepts. Pure: the same schema and random numbers give the same value.

Understood: `$ref` within the document, `const`, `enum`, `type` (also a list), `anyOf`, `oneOf` (the first branch that
works), `allOf` (merged), objects (`properties`, `required`, `additionalProperties`, `minProperties`), arrays (`items`,
`prefixItems`, `minItems`, `maxItems`, `uniqueItems`), strings (lengths, common formats, simple patterns), numbers
(bounds, `multipleOf`). A schema that cannot be met is refused; `not`, `if` and `dependent*` are not read.
"""

from __future__ import annotations

from random import Random
from typing import Any

from gateway.simulate.scalars import UnanswerableError, either, nothing, number, text, whole_number

__all__ = ["UnanswerableError", "make"]

Schema = dict[str, Any]

_SHALLOW = 4
"""Down to this depth optional parts are filled in; below it only what is required, so that recursive schemas end."""
_DEEPEST = 40
_MOST_VALUES = 20_000
_DRAWS = 50
_SCALARS = {"string": text, "integer": whole_number, "number": number, "boolean": either, "null": nothing}


def make(schema: Schema, rng: Random) -> Any:
    """Return a value that `schema` accepts.

    Raises:
        UnanswerableError: no value was found; the message says at what.
    """
    return _Maker(schema, rng).value(schema, 0)


class _Maker:
    def __init__(self, root: Schema, rng: Random) -> None:
        self.root = root
        self.rng = rng
        self.made = 0
        self.vary = False

    def value(self, schema: Any, depth: int) -> Any:
        self.made += 1
        if depth > _DEEPEST or self.made > _MOST_VALUES:
            message = "the schema demands endlessly nested or too many values"
            raise UnanswerableError(message)
        return self._composed(_schema(schema), depth)

    def _composed(self, schema: Schema, depth: int) -> Any:
        if "$ref" in schema:
            rest = {key: part for key, part in schema.items() if key != "$ref"}
            return self.value(_merged(self._resolve(schema["$ref"]), rest), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self.rng.choice(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if schema.get(word):
                return self._branch(schema, word, depth)
        if schema.get("allOf"):
            whole = {key: part for key, part in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                whole = _merged(whole, self._followed(_schema(part)))
            return self.value(whole, depth + 1)
        return self._typed(schema, depth)

    def _resolve(self, pointer: str) -> Schema:
        place: Any = self.root
        head, _, path = pointer.partition("#")
        try:
            for part in path.split("/")[1:]:
                name = part.replace("~1", "/").replace("~0", "~")
                place = place[int(name) if isinstance(place, list) else name]
        except (KeyError, IndexError, ValueError, TypeError):
            place = None
        if head or not isinstance(place, dict | bool):
            message = f"$ref {pointer!r} leads nowhere; references must stay within the schema"
            raise UnanswerableError(message)
        return _schema(place)  # pyright: ignore[reportUnknownArgumentType] - JSON of unknown shape

    def _followed(self, schema: Schema) -> Schema:
        for _ in range(_DEEPEST):
            if "$ref" not in schema:
                return schema
            rest = {key: part for key, part in schema.items() if key != "$ref"}
            schema = _merged(self._resolve(schema["$ref"]), rest)
        message = "the schema's references run in a circle"
        raise UnanswerableError(message)

    def _branch(self, schema: Schema, word: str, depth: int) -> Any:
        branches: list[Any] = list(schema[word])
        if depth > _SHALLOW:
            branches.sort(key=_weight)
        rest = {key: part for key, part in schema.items() if key != word}
        reason = ""
        for branch in branches:
            try:
                return self.value(_merged(rest, _schema(branch)), depth + 1)
            except UnanswerableError as error:
                reason = str(error)
        message = f"no branch of {word} can be met: {reason}"
        raise UnanswerableError(message)

    def _typed(self, schema: Schema, depth: int) -> Any:
        kind = _kind(schema, shallow=depth <= _SHALLOW)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind not in _SCALARS:
            message = f"there is no type {kind!r} in JSON schema"
            raise UnanswerableError(message)
        return _SCALARS[kind](schema, self.rng, vary=self.vary)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties") or {}
        required: list[str] = schema.get("required") or []
        extra = schema.get("additionalProperties", True)
        made: dict[str, Any] = {}
        for name, part in properties.items():
            if name in required:
                made[name] = self.value(part, depth + 1)
            elif depth <= _SHALLOW:
                self._try_property(made, name, part, depth)
        for name in required:
            if name not in made:
                made[name] = self.value(extra, depth + 1)
        filler = 0
        while len(made) < schema.get("minProperties", 0):
            filler += 1
            made.setdefault(f"field_{filler}", self.value(extra, depth + 1))
        return made

    def _try_property(self, made: dict[str, Any], name: str, part: Any, depth: int) -> None:
        try:
            made[name] = self.value(part, depth + 1)
        except UnanswerableError:
            made.pop(name, None)

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        least: int = schema.get("minItems", 0)
        most: int = schema.get("maxItems", max(least, 2))
        first: list[Any] = schema.get("prefixItems") or []
        wanted = min(max(least, len(first), 2), most) if depth <= _SHALLOW else least
        unique = bool(schema.get("uniqueItems"))
        made: list[Any] = []
        for place in range(wanted):
            part = first[place] if place < len(first) else schema.get("items", {})
            try:
                made.append(self._different(part, made, depth) if unique else self.value(part, depth + 1))
            except UnanswerableError:
                if len(made) < least:
                    raise
                break
        return made

    def _different(self, part: Any, others: list[Any], depth: int) -> Any:
        varied, self.vary = self.vary, True
        try:
            for _ in range(_DRAWS):
                if (value := self.value(part, depth + 1)) not in others:
                    return value
        finally:
            self.vary = varied
        message = f"uniqueItems: found no {len(others) + 1} different items"
        raise UnanswerableError(message)


def _schema(part: Any) -> Schema:
    """Return a schema as a table: `true` accepts everything."""
    if part is False:
        message = "the schema `false` accepts nothing"
        raise UnanswerableError(message)
    return part if isinstance(part, dict) else {}  # pyright: ignore[reportUnknownVariableType] - JSON of unknown shape


def _merged(left: Schema, right: Schema) -> Schema:
    both = {**left, **right}
    if "properties" in left and "properties" in right:
        both["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        both["required"] = [*left["required"], *right["required"]]
    return both


def _weight(branch: Any) -> int:
    """Order branches so that those which end a recursion come first."""
    if not isinstance(branch, dict) or branch.get("type") == "null":  # pyright: ignore[reportUnknownMemberType] - JSON of unknown shape
        return 0
    return 2 if "$ref" in branch or "properties" in branch or "items" in branch else 1


_TELLTALE = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}


def _kind(schema: Schema, *, shallow: bool) -> str:
    kind = schema.get("type")
    if isinstance(kind, list) and kind:
        kinds: list[str] = kind  # pyright: ignore[reportUnknownVariableType] - JSON of unknown shape
        return "null" if "null" in kinds and not shallow else kinds[0]
    if isinstance(kind, str):
        return kind
    return next((meant for word, meant in _TELLTALE.items() if word in schema), "string")
