from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.proxy import wire

NAMES = ("model", "stream", "stream_options", "user", "metadata", "messages", "ä", "a/b", "\b", "base_url")
blanks = st.text(" \t\r\n", max_size=2)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """Write a value as JSON in one of its spellings."""
    if isinstance(value, str) and draw(st.booleans()):
        units = value.encode("utf-16-be")
        return '"' + "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + '"'
    separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    return json.dumps(value, ensure_ascii=draw(st.booleans()), separators=separators)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Write a body that is nearly a request: any fields, a key perhaps twice, in any spelling."""
    fields: list[tuple[str, Any]] = [("model", draw(st.sampled_from(["m", "größe", "a b", 5, None]) | texts))]
    fields += draw(st.lists(st.tuples(st.sampled_from(NAMES) | texts, values), max_size=4))
    fields += [("stream", True)] if draw(st.booleans()) else []
    options = st.fixed_dictionaries({}, optional={"include_usage": st.booleans() | st.none(), "other": values})
    fields += [("stream_options", draw(options))] if draw(st.booleans()) else []
    members: list[str] = []
    for name, value in draw(st.permutations(fields)):
        key, content = draw(spelled(name)), draw(spelled(value))
        members.append(f"{draw(blanks)}{key}{draw(blanks)}:{draw(blanks)}{content}{draw(blanks)}")
    return f"{draw(blanks)}{{{','.join(members)}}}{draw(blanks)}".encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Replace a part of a body with other bytes."""
    body = draw(requests())
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 6))
    put = draw(st.binary(max_size=4) | st.sampled_from([b'"', b"{", b"]", b",", b"\\ud800", b"01", b"NaN", b"\x01"]))
    return body[:start] + put + body[start + length :]


def accepted(body: bytes) -> wire.Reading | None:
    try:
        return wire.read(body)
    except BadRequestError:
        return None


def members(body: bytes) -> list[tuple[str, Any]]:
    """Return the top-level pairs as Python's own reader sees them."""
    levels: list[list[tuple[str, Any]]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        levels.append(pairs)
        return dict(pairs)

    json.loads(body.decode(), object_pairs_hook=keep)
    return levels[-1]


def refused(read: Callable[[], object]) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        read()
    return caught.value


@given(st.binary(max_size=64) | requests() | damaged())
def test_whatever_is_accepted_means_the_same_to_every_reader(body: bytes):
    reading = accepted(body)

    if reading is not None:
        pairs = members(body)
        fields = dict(pairs)
        assert len(fields) == len(pairs)
        assert fields["model"] == reading.model
        assert bool(fields.get("stream")) == reading.stream
        assert {name: json.loads(bytes(raw)) for name, raw in reading.fields.items()} == fields
        assert not fields.keys() & set(wire.FORBIDDEN_FIELDS)


@given(requests())
def test_texts_of_whatever_is_accepted_are_read_or_refused(body: bytes):
    reading = accepted(body)

    if reading is not None:
        for read in (lambda: reading.text("user"), lambda: reading.metadata_text("user_id")):
            with contextlib.suppress(BadRequestError):
                assert (read() or "").encode().decode() == (read() or "")


@given(requests(), st.sampled_from(["m", "other", 'quo"ted']), st.booleans())
def test_rewriting_changes_the_model_and_the_wish_for_usage_alone(body: bytes, model: str, inject_usage: bool):  # noqa: FBT001 - drawn, not chosen
    reading = accepted(body)

    if reading is not None and (reading.stream or not inject_usage):
        rewritten = wire.rewrite(reading, model, inject_usage=inject_usage)
        expected: dict[str, Any] = {**dict(members(body)), "model": model}
        if inject_usage:
            expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
        assert dict(members(rewritten)) == expected
        assert list(wire.read(rewritten).fields)[: len(reading.fields)] == list(reading.fields)


def test_a_body_that_needs_no_change_is_returned_as_it_came():
    body = b'{ "model": "m", "x": 1.0 }'
    reading = wire.read(body)

    assert wire.rewrite(reading, "m", inject_usage=False) is body


def test_other_values_keep_their_bytes():
    reading = wire.read(b'{"seed":1.50e+2,"model":"m","stop":["\\u00e9", 1],"stream":true,"stream_options":{"a":1.0}}')

    assert wire.rewrite(reading, "n", inject_usage=True) == (
        b'{"seed":1.50e+2,"model":"n","stop":["\\u00e9", 1],"stream":true,'
        b'"stream_options":{"a":1.0,"include_usage":true}}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","model":"n"}',
        b'{"model":"m", "model":"n"}',
        b'{"model":"m","mod\\u0065l":"n"}',
        b'{"model":"m","model":"m"}',
        b' {"x":{"model":1},"model":"m","y":[{"a":1,"a":2}],"\\u006dodel":"n"}',
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes):
    error = refused(lambda: wire.read(body))

    assert (error.param, error.code) == ("model", "duplicate_field")


def test_keys_below_the_top_level_are_the_upstreams_matter():
    assert wire.read(b'{"model": "m", "tool": {"a":1,"a":2}}').model == "m"


@pytest.mark.parametrize("name", wire.FORBIDDEN_FIELDS)
def test_a_field_that_would_redirect_the_request_is_refused(name: str):
    error = refused(lambda: wire.read(json.dumps({"model": "m", name: None}).encode()))

    assert (error.param, error.code) == (name, "field_not_allowed")


@pytest.mark.parametrize("name", ["Model", "MODEL", "USER", "u\u017fer", "Stream_Options", "API_BASE", "Metadata"])
def test_a_field_that_another_server_could_take_for_one_that_decides_is_refused(name: str):
    error = refused(lambda: wire.read(json.dumps({"model": "m", name: "x"}, ensure_ascii=False).encode()))

    assert (error.param, error.code) == (name, "ambiguous_field")


@pytest.mark.parametrize("name", ["Models", "x-Model", "\u00dcser", "Temperature", "2", ""])
def test_any_other_field_passes_whatever_its_letters(name: str):
    assert wire.read(json.dumps({"model": "m", name: "x"}).encode()).model == "m"


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_request_names_a_model(body: bytes):
    error = refused(lambda: wire.read(body))

    assert (error.param, error.code) == ("model", "missing_model")


@pytest.mark.parametrize("model", ["m" * 256, "ä" * 256, "vendor/model:7b @x"])
def test_models_that_have_a_name(model: str):
    assert wire.read(json.dumps({"model": model}).encode()).model == model


@pytest.mark.parametrize("model", ["m" * 257, "a\nb", "a\x00", "\u202eabc", "\u200b", "\x7f"])
def test_models_that_have_no_name(model: str):
    error = refused(lambda: wire.read(json.dumps({"model": model}).encode()))

    assert (error.param, error.code) == ("model", "invalid_model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ('"model":5', "model"),
        ('"model":"m","stream":1', "stream"),
        ('"model":"m","stream":"true"', "stream"),
        ('"model":"m","stream":true,"stream_options":[]', "stream_options"),
        ('"model":"m","stream":true,"stream_options":{"include_usage":"yes"}', "stream_options.include_usage"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields: str, param: str):
    error = refused(lambda: wire.read(f"{{{fields}}}".encode()))

    assert (error.param, error.code) == (param, "invalid_type")


@pytest.mark.parametrize(
    ("fields", "stream", "asks_usage"),
    [
        ("", False, False),
        (',"stream":null,"stream_options":null', False, False),
        (',"stream":false,"stream_options":{"include_usage":true}', False, False),
        (',"stream_options":"whatever"', False, False),
        (',"stream":true', True, False),
        (',"stream":true,"stream_options":null', True, False),
        (',"stream":true,"stream_options":{"include_usage":null}', True, False),
        (',"stream":true,"stream_options":{"include_usage":false}', True, False),
        (',"stream":true,"stream_options":{"include_usage":true}', True, True),
    ],
)
def test_how_an_answer_is_wanted(fields: str, stream: bool, asks_usage: bool):  # noqa: FBT001 - a table's columns
    reading = wire.read(f'{{"model":"m"{fields}}}'.encode())

    assert (reading.stream, reading.asks_usage) == (stream, asks_usage)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "The body is empty"),
        (b'{"model":"m"', "not valid JSON"),
        (b'{"model":"m"}x', "not valid JSON"),
        (b'{"model":"m","x":NaN}', "not valid JSON"),
        (b'{"model":"m","x":01}', "not valid JSON"),
        (b'{"model":"m","x":"\n"}', "not valid JSON"),
        (b'\xef\xbb\xbf{"model":"m"}', "not valid JSON"),
        ('{"model":"m"}'.encode("utf-16"), "not valid JSON"),
        (b'["m"]', "must be one JSON object"),
        (b"null", "must be one JSON object"),
        (b'{"model":"m","x":"\xff"}', r"not valid UTF-8 \(byte 18\)"),
        (b'{"model":"m","\xed\xa0\x80":1}', "not valid UTF-8"),
        (b'{"model":"m","x":"\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"model":"m","user":"\\ud800"}', "half of a surrogate pair"),
        (b'{"model":"m","\\uDC00":1}', "surrogate|not valid JSON"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused_with_the_reason(body: bytes, says: str):
    with pytest.raises(BadRequestError, match=says) as caught:
        wire.read(body)

    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize("blank", ["", " "])
def test_nesting_is_read_or_refused_but_never_breaks_the_reader(blank: str):
    messages = set[str]()
    for depth in range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 20):
        nested = '{"a":' * depth + "1" + "}" * depth
        body = f'{{"model":"m",{blank}"stream":true,"stream_options":{{"x":{nested}}},"metadata":{{"x":{nested}}}}}'
        try:
            reading = wire.read(body.encode())
            wire.rewrite(reading, "n", inject_usage=True)
            reading.metadata_text("user_id")
        except BadRequestError as error:
            messages.add(str(error))

    assert "The body is nested too deeply." in messages


@pytest.mark.parametrize("blank", ["", " "])
def test_a_number_of_any_length_passes(blank: str):
    body = f'{{"model":"m",{blank}"seed":{"9" * 5000}}}'.encode()

    assert wire.read(body).model == "m"


def test_texts_and_metadata():
    reading = wire.read(b'{"model":"m","user":"\\u00e4","metadata":{"user_id":"x","n":5,"none":null}}')

    assert (reading.text("user"), reading.text("other")) == ("ä", None)
    assert reading.metadata_text("user_id") == "x"
    assert (reading.metadata_text("none"), reading.metadata_text("other")) == (None, None)
    assert refused(lambda: reading.metadata_text("n")).param == "metadata.n"
    assert refused(lambda: reading.text("metadata")).param == "metadata"


@pytest.mark.parametrize(("metadata", "param"), [("[]", "metadata"), ('"x"', "metadata"), ("5", "metadata")])
def test_metadata_is_an_object(metadata: str, param: str):
    reading = wire.read(f'{{"model":"m","metadata":{metadata}}}'.encode())

    assert refused(lambda: reading.metadata_text("user_id")).param == param


@pytest.mark.parametrize("fields", ["", ',"metadata":null'])
def test_no_metadata_is_no_text(fields: str):
    assert wire.read(f'{{"model":"m"{fields}}}'.encode()).metadata_text("user_id") is None
