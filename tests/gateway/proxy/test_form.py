"""Forms, read while they pass: any cut gives the same fields, and what could be read in two ways is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multipart import MultipartSegment, PushMultipartParser  # Litestar's reader of forms, as a second opinion

from gateway.errors import BadRequestError
from gateway.proxy.form import MAX_FIELD_BYTES, MAX_HEAD_BYTES, MAX_PARTS, Form
from tests.fakes.forms import BOUNDARY, END, KIND, field, file, form, part

SOUND = bytes(range(256)) * 40
WHOLE = form(field("user", "ann"), field("language", "en"), file(SOUND), field("model", "whisper"), field("x", "1"))


def read(body: bytes, *cuts: int, kind: bytes = KIND) -> Form:
    made = Form(kind)
    for start, end in zip((0, *cuts), (*cuts, len(body)), strict=True):
        made.feed(body[start:end])
    made.end()
    return made


def fault(body: bytes, kind: bytes = KIND) -> BadRequestError:
    """Return the refusal, the same in one piece and byte by byte."""
    with pytest.raises(BadRequestError) as whole:
        read(body, kind=kind)
    with pytest.raises(BadRequestError) as cut:
        read(body, *range(1, len(body)), kind=kind)
    assert whole.value.message == cut.value.message
    return whole.value


def test_fields_are_found_before_and_after_a_file_with_the_models_place():
    found = read(WHOLE)

    start, end = found.model_at
    assert found.fields == {"user": "ann", "model": "whisper"}
    assert WHOLE[start:end] == b"whisper"
    assert found.is_complete


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_any_cut_gives_the_same_fields(cuts: list[int]):
    found = read(WHOLE, *sorted(cuts))

    assert found.fields == {"user": "ann", "model": "whisper"}
    assert WHOLE[slice(*found.model_at)] == b"whisper"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_every_short_piece_is_enough(size: int):
    assert read(WHOLE, *range(size, len(WHOLE), size)).fields["model"] == "whisper"


NAMES = st.sampled_from(["user", "stream", "language", "prompt", "include[]", "file"])
CONTENTS = st.binary(max_size=60) | st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n--X-7f3", b"\r", b"--X-7f3a"])


@given(st.lists(st.tuples(NAMES, CONTENTS, st.booleans()), max_size=6), st.integers(1, 50))
def test_what_is_read_is_what_the_well_known_reader_reads(parts: list[tuple[str, bytes, bool]], size: int):
    body = form(*(file(content, name) if is_file else field(name, content) for name, content, is_file in parts))
    try:
        ours = read(body, *range(size, len(body), size))
    except BadRequestError:
        return

    assert {name: value.encode() for name, value in ours.fields.items()} == {
        name: value for name, value in second_opinion(body) if name in {"user", "stream"}
    }


def second_opinion(body: bytes) -> list[tuple[str, bytes]]:
    parts: list[tuple[str, bytes]] = []
    with PushMultipartParser(BOUNDARY, strict=True) as parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                parts.append((event.name or "", b""))
            elif event:
                parts[-1] = (parts[-1][0], parts[-1][1] + event)
    return parts


@given(st.binary(max_size=200))
def test_bytes_that_are_no_form_are_refused_and_nothing_else_happens(junk: bytes):
    with pytest.raises(BadRequestError):
        read(junk)


def test_nothing_of_a_file_is_kept():
    reading = Form(KIND)
    reading.feed(b"".join(WHOLE.partition(SOUND)[:1]))
    for _ in range(100):
        reading.feed(b"\r" * 65_536)

    assert len(reading._held) < 100  # noqa: SLF001 - the bound is the point


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=" + b"x" * 71,
        b'multipart/form-data; boundary="a "',
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; boundary=a, multipart/form-data; boundary=b",
        b"multipart/form-data; boundary=a; charset=utf-16",
        b"multipart/mixed; boundary=a",
        b'multipart/form-data; boundary="a',
        b"multipart/form-data; boundary=a,b",
        b"multipart/form-data; boundary='ab'",
        b"multipart/form-data; boundary=a=b",
        b'multipart/form-data; boundary="a/b"',
        b'multipart/form-data; boundary="a b"',
        b'multipart/form-data; boundary="a?b"',
        b"multipart/form-data; boundary=a; boundary*=utf-8''b",
    ],
)
def test_a_content_type_without_one_plain_boundary_is_refused(kind: bytes):
    with pytest.raises(BadRequestError, match="one boundary") as refused:
        Form(kind)

    assert refused.value.code == "invalid_multipart"


@pytest.mark.parametrize(
    "kind",
    [
        b'multipart/form-data; boundary="X-7f3a"',
        b"Multipart/Form-Data;boundary=X-7f3a",
        b"multipart/form-data; charset=utf-8; boundary=X-7f3a",
        b"multipart/form-data; boundary=X-7f3a; charset=UTF-8",
    ],
)
def test_the_usual_ways_to_name_a_boundary_are_read(kind: bytes):
    assert read(WHOLE, kind=kind).fields["model"] == "whisper"


NAMED = b'content-disposition: form-data; name="model"'
BROKEN = {
    "empty": (b"", "before its closing"),
    "another boundary": (WHOLE.replace(BOUNDARY, b"Y-7f3a"), "does not begin"),
    "preamble": (b"hello\r\n" + WHOLE, "does not begin"),
    "epilogue": (WHOLE + b"more", "follows"),
    "second form": (WHOLE + WHOLE, "follows"),
    "no end": (WHOLE.removesuffix(END), "before its closing"),
    "cut in a file": (WHOLE[:5000], "before its closing"),
    "cut in a head": (WHOLE[:30], "before its closing"),
    "boundary goes on": (form(file(b"a\r\n--X-7f3aQ\r\nb")), "goes on"),
    "bare line feed after the boundary": (b"--X-7f3a\ncontent-disposition: x\n\n", "goes on"),
    "no headers": (b"--X-7f3a\r\n\r\n\r\nabc\r\n" + END, "name: value"),
    "boundary behind a bare line feed": (form(field("x", b"a\n--X-7f3a\n" + NAMED + b"\n\nb")), "within a part"),
    "boundary behind a bare carriage return": (form(file(b"a\r--X-7f3a\r" + NAMED + b"\r\rb")), "within a part"),
    "end behind a bare line feed": (form(field("user", b"a\n--X-7f3a--\n")), "within a part"),
    "boundary in a line": (form(file(b"a--X-7f3a\r\n" + NAMED + b"\r\n\r\nb")), "within a part"),
    "boundary behind another line end": (form(field("x", "a\u2028--X-7f3a\r\n")), "within a part"),
    "boundary for content": (form(field("x", b"--X-7f3a\r\n" + NAMED)), "within a part"),
    "boundary in a head": (form(field("x", "y", b"x-y: --X-7f3a")), "in the head"),
    "boundary for a header": (form(field("x", "y", b"--X-7f3a: y")), "in the head"),
    "long head": (form(part(b"x: " + b"y" * MAX_HEAD_BYTES)), "longer than 8,192"),
    "endless head": (b"--X-7f3a\r\n" + b"y" * (MAX_HEAD_BYTES + 4), "longer than 8,192"),
    "too many parts": (form(*[field("x", "1")] * (MAX_PARTS + 1)), "more than 1,000 parts"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_form_is_refused_with_what_is_wrong(case: str):
    body, why = BROKEN[case]

    refused = fault(body)

    assert why in refused.message
    assert refused.code == "invalid_multipart"


@pytest.mark.parametrize(
    "boundary",
    [
        *("------------------------d74496d66958873e", "----WebKitFormBoundary7MA4YWxkTrZu0gW"),
        *("----formdata-undici-046123456789", "--------------------------735323031399963166993862"),
        *("ee0ab6aa5b9a46f0a1b0e5c3c1d2e3f4", "alamofire.boundary.1a2b3c4d5e6f7a8b", "Boundary+0A1B2C3D", "-_x.Y-"),
    ],
)
def test_the_boundaries_of_usual_clients_are_taken_with_and_without_quotes(boundary: str):
    body = WHOLE.replace(BOUNDARY, boundary.encode())

    for written in (boundary, f'"{boundary}"'):
        assert read(body, kind=f"multipart/form-data; boundary={written}".encode()).fields["user"] == "ann"


def test_a_boundary_with_equals_signs_is_taken_in_quotes():
    body = WHOLE.replace(BOUNDARY, b"===12==")

    assert read(body, kind=b'multipart/form-data; boundary="===12=="').fields["user"] == "ann"


def test_reading_stops_at_each_file_when_it_is_told_to():
    body = form(field("user", "a"), file(b"x"), field("stream", "1"), file(b"y"), field("n", "2"))
    reading = Form(KIND)

    assert reading.feed(body, to_file=True)
    assert dict(reading.fields) == {"user": "a"}
    assert reading.feed(b"", to_file=True)
    assert reading.stream
    assert not reading.feed(b"", to_file=True)
    assert reading.is_complete
    assert reading.fields["n"] == "2"


@pytest.mark.parametrize("name", ["model", "user", "safety_identifier", "stream", "metadata[user_id]"])
def test_a_field_that_decides_something_stands_once(name: str):
    refused = fault(form(field(name, "a"), file(SOUND), field(name, "a")))

    assert (refused.code, refused.param) == ("duplicate_field", name)


def test_other_fields_may_stand_more_than_once_as_arrays_do():
    assert read(form(field("include[]", "a"), field("include[]", "b"), field("model", "m"))).fields == {"model": "m"}


def test_a_field_that_is_read_has_its_bounds():
    longest = "m" * MAX_FIELD_BYTES

    assert read(form(field("user", longest))).fields["user"] == longest
    refused = fault(form(field("user", longest + "m")))
    assert (refused.code, refused.param) == ("field_too_long", "user")
    with pytest.raises(BadRequestError, match="longer than"):
        Form(KIND).feed(form(field("user", "m" * 9000))[:9000])


def test_a_field_that_is_read_is_valid_utf8():
    refused = fault(form(field("model", b"\xff")))

    assert (refused.code, refused.param) == ("invalid_type", "model")


@pytest.mark.parametrize(
    ("value", "stream"), [("true", True), ("True", True), ("1", True), ("false", False), ("", False)]
)
def test_a_stream_is_asked_for_in_the_ways_that_clients_write_it(value: str, *, stream: bool):
    assert read(form(field("stream", value))).stream is stream
