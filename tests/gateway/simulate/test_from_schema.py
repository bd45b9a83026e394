from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulate.from_schema import UnanswerableError, make

Schema = dict[str, Any]


def accepts(schema: Any, value: Any, root: Schema) -> bool:
    """Judge a value by the part of JSON schema that the strategies below use."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], value, root)
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(accepts(branch, value, root) for branch in schema["anyOf"])
    return JUDGES[schema["type"]](schema, value, root)


def accepts_object(schema: Schema, value: Any, root: Schema) -> bool:
    return (
        isinstance(value, dict)
        and set(schema["required"]) <= value.keys() <= schema["properties"].keys()
        and all(accepts(schema["properties"][name], part, root) for name, part in value.items())
    )


def accepts_array(schema: Schema, value: Any, root: Schema) -> bool:
    return (
        isinstance(value, list)
        and schema["minItems"] <= len(value) <= schema["maxItems"]
        and all(accepts(schema["items"], item, root) for item in value)
    )


JUDGES = {
    "object": accepts_object,
    "array": accepts_array,
    "string": lambda schema, value, _: (
        isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
    ),
    "integer": lambda schema, value, _: type(value) is int and schema["minimum"] <= value <= schema["maximum"],
    "number": lambda _, value, __: type(value) in {int, float},
    "boolean": lambda _, value, __: type(value) is bool,
    "null": lambda _, value, __: value is None,
}

names = st.text("abcxyz/~ é", min_size=1, max_size=4)
spans = st.tuples(st.integers(0, 5), st.integers(0, 5))
leaves = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "number"}, {"$ref": "#/$defs/shared"}]),
    spans.map(lambda span: {"type": "string", "minLength": span[0], "maxLength": sum(span)}),
    spans.map(lambda span: {"type": "integer", "minimum": span[0] - 3, "maximum": sum(span) - 3}),
    st.lists(st.integers() | names, min_size=1, max_size=4).map(lambda choices: {"enum": choices}),
    names.map(lambda name: {"const": name}),
)


def nested(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        st.dictionaries(names, inner, max_size=4).flatmap(
            lambda parts: st.sets(st.sampled_from(sorted(parts)) if parts else st.nothing()).map(
                lambda needed: {
                    "type": "object",
                    "properties": parts,
                    "required": sorted(needed),
                    "additionalProperties": False,
                }
            )
        ),
        st.tuples(inner, spans).map(
            lambda part: {"type": "array", "items": part[0], "minItems": part[1][0], "maxItems": sum(part[1])}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches}),
    )


schemas = st.recursive(leaves, nested, max_leaves=12)


@given(schemas, st.integers())
def test_what_is_made_is_accepted(schema: Schema, seed: int):
    shared = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#/$defs/shared"}, {"type": "null"}]}},
        "required": ["next"],
    }
    root = {**schema, "$defs": {"shared": shared}}

    assert accepts(root, make(root, Random(seed)), root)


@given(schemas, st.integers())
def test_the_same_seed_makes_the_same(schema: Schema, seed: int):
    root = {**schema, "$defs": {"shared": {"type": "integer"}}}

    assert make(root, Random(seed)) == make(root, Random(seed))


def test_recursive_schemas_end():
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name", "children"],
    }

    assert make(tree, Random(1))["children"]


@pytest.mark.parametrize(
    ("schema", "made"),
    [
        ({}, str),
        ({"properties": {"a": {}}}, dict),
        ({"items": True}, list),
        ({"minimum": 3}, float | int),
        ({"type": ["null", "string"]}, None.__class__),
        ({"oneOf": [False, {"type": "integer"}]}, int),
        (
            {
                "allOf": [{"type": "object", "properties": {"a": {}}}, {"$ref": "#/$defs/b"}],
                "$defs": {"b": {"required": ["z"]}},
            },
            dict,
        ),
        ({"type": "object", "minProperties": 3}, dict),
        ({"type": "object", "required": ["any"]}, dict),
        ({"type": "object", "properties": {"never": False}}, dict),
        ({"prefixItems": [{"type": "integer"}, {"type": "null"}], "items": False}, list),
    ],
)
def test_less_common_schemas_are_understood(schema: Schema, made: Any):
    assert isinstance(make(schema, Random(1)), made)


def test_unique_items_differ():
    made = make({"type": "array", "minItems": 20, "uniqueItems": True, "items": {"type": "integer"}}, Random(1))

    assert len(set(made)) == 20


def test_a_merged_branch_keeps_what_stands_beside_it():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    }

    assert make(schema, Random(1)) == {"a": 3}


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#/allOf/0"}]},
        {"type": "complex"},
        {"anyOf": [False, False]},
        {"type": "object", "properties": {"x": False}, "required": ["x"]},
        {"type": "object", "properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}, "required": ["l", "r"]},
        {"type": "array", "minItems": 3, "uniqueItems": True, "items": {"type": "boolean"}},
        {"type": "array", "minItems": 30_000},
    ],
)
def test_a_schema_that_cannot_be_met_is_refused(schema: Schema):
    with pytest.raises(UnanswerableError):
        make(schema, Random(1))
