from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.simulate.form import Form, Upload, read
from gateway.simulate.reply import Received

KIND = "multipart/form-data; boundary=b0"
GOOD = (
    b'--b0\r\ncontent-disposition: form-data; name="prompt"\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n'
    b'--b0\r\ncontent-disposition: form-data; name="include[]"\r\n\r\na\r\n'
    b'--b0\r\ncontent-disposition: form-data; name="include[]"\r\n\r\nb\r\n'
    b'--b0\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n'
    b"\x00\r\n--b\xff\r\n--b0--\r\n"
)


def form_of(body: bytes, kind: str = KIND) -> Form:
    return read(Received(body=body, content_type=kind))


def test_fields_lists_and_files_are_read():
    form = form_of(GOOD)

    assert form.fields == {"prompt": "grüße", "include": ["a", "b"]}
    assert form.file("file") == Upload(filename="a.wav", content_type="audio/wav", content=b"\x00\r\n--b\xff")


def test_a_form_that_is_cut_anywhere_is_refused():
    for size in range(len(GOOD) - 4):
        with pytest.raises(BadRequestError):
            form_of(GOOD[:size])


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (GOOD, "application/json", "Send multipart/form-data"),
        (GOOD, "multipart/form-data", "Send multipart/form-data"),
        (GOOD, "multipart/form-data; boundary=other", "could not parse"),
        (b"", KIND, "could not parse"),
        (GOOD.replace(b"gr\xc3", b"gr\xff"), KIND, "could not parse"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, kind: str, said: str):
    with pytest.raises(BadRequestError, match=said):
        form_of(body, kind)


def test_a_file_that_is_missing_is_named():
    with pytest.raises(BadRequestError) as caught:
        form_of(GOOD).file("image")

    assert caught.value.param == "image"


@given(st.binary(), st.text())
def test_any_bytes_are_read_or_refused(body: bytes, kind: str):
    with contextlib.suppress(BadRequestError):
        form_of(body, kind)
    with contextlib.suppress(BadRequestError):
        form_of(b"--b0\r\n" + body)
