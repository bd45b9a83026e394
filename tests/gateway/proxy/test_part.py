"""Heads of parts: one name, read in one way."""

from __future__ import annotations

import pytest

from gateway.errors import BadRequestError
from gateway.proxy.part import Part, part_of

NAMED = b'Content-Disposition: form-data; name="model"'


def fault(*lines: bytes) -> BadRequestError:
    with pytest.raises(BadRequestError) as refused:
        part_of(b"\r\n".join(lines))
    return refused.value


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([NAMED], Part(name="model", is_file=False, is_read=True)),
        ([b"content-disposition: form-data; name=model"], Part(name="model", is_file=False, is_read=True)),
        ([b'content-disposition:form-data;name="user"'], Part(name="user", is_file=False, is_read=True)),
        ([NAMED, b"Content-Type: text/plain; charset=utf-8"], Part(name="model", is_file=False, is_read=True)),
        ([NAMED, b"Content-Transfer-Encoding: 8bit"], Part(name="model", is_file=False, is_read=True)),
        ([b'Content-Disposition: form-data; name="n\xc3\xa9"'], Part(name="né", is_file=False, is_read=False)),
        (
            [b'Content-Disposition: form-data; name="file"; filename="a b;c.wav"', b"Content-Type: audio/wav"],
            Part(name="file", is_file=True, is_read=False),
        ),
        (
            [b"Content-Disposition: form-data; name=\"image[]\"; filename*=UTF-8''a%20b.png", b"Content-Length: 9"],
            Part(name="image[]", is_file=True, is_read=False),
        ),
        (
            [b'Content-Disposition: form-data; name="file"; filename="C:\\fakepath\\a.wav"'],
            Part(name="file", is_file=True, is_read=False),
        ),
        ([b'Content-Disposition: form-data; name="models"'], Part(name="models", is_file=False, is_read=False)),
        ([b'Content-Disposition: form-data; name="stream_x"'], Part(name="stream_x", is_file=False, is_read=False)),
    ],
)
def test_parts_are_read_as_clients_write_them(lines: list[bytes], expected: Part):
    assert part_of(b"\r\n".join(lines)) == expected


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([b"content-type: text/plain"], "one content-disposition"),
        ([NAMED, NAMED], "same header twice"),
        ([NAMED.replace(b"form-data", b"attachment")], "one content-disposition"),
        ([NAMED + b'; name="user"'], "one content-disposition"),
        ([NAMED + b"; name*=UTF-8''user"], "one content-disposition"),
        ([NAMED + b"; size=9"], "one content-disposition"),
        ([NAMED + b"; filename"], "one content-disposition"),
        ([NAMED + b";"], "one content-disposition"),
        ([b'content-disposition: form-data; filename="a"'], "one content-disposition"),
        ([b'content-disposition: form-data; name="model'], "one content-disposition"),
        ([b'content-disposition: form-data; name="f"; filename="a\\"; name="model"'], "one content-disposition"),
        ([b'content-disposition: form-data; name="f"; filename="a\\"'], "backslash"),
        ([b'content-disposition: form-data; name="mo\\del"'], "decode or strip"),
        ([b"content-disposition: form-data; name=\"'model'\""], "decode or strip"),
        ([b'content-disposition: form-data; name="<model>"'], "decode or strip"),
        ([b'content-disposition: form-data; name="mode%6c"'], "decode or strip"),
        ([b'content-disposition: form-data; name="&#109;odel"'], "decode or strip"),
        ([b'content-disposition: form-data; name="=?utf-8?q?model?="'], "decode or strip"),
        ([b'content-disposition: form-data; filename="=?utf-8?q?=22=3b_name=3dmodel?="; name="f"'], "one content-disp"),
        ([b'content-disposition: form-data; name="f"', b"content-type: (x)multipart/mixed"], "multipart body itself"),
        ([b'content-disposition: form-data; name="f"', b"content-type: multipart /mixed"], "multipart body itself"),
        ([b'content-disposition: form-data; name="model\x7f"'], "control"),
        ([b'content-disposition: form-data; name="\xff"'], "UTF-8"),
        ([NAMED, b"content-transfer-encoding: base64"], "content-transfer-encoding"),
        ([NAMED, b"Content-Transfer-Encoding: quoted-printable"], "content-transfer-encoding"),
        ([NAMED, b"Content-Type: multipart/mixed; boundary=b"], "multipart body itself"),
        ([NAMED, b" folded: x"], "name: value"),
        ([b"Content-Disposition : form-data"], "name: value"),
        ([NAMED + b"\n x: y"], "name: value"),
        ([NAMED + b"\0"], "name: value"),
        ([NAMED, *(b"x-%d: y" % number for number in range(16))], "more than 16 headers"),
    ],
)
def test_what_readers_could_disagree_on_is_refused(lines: list[bytes], why: str):
    refused = fault(*lines)

    assert why in refused.message
    assert refused.code == "invalid_multipart"


@pytest.mark.parametrize(
    "name",
    [
        *("Model", "MODEL", " model", "model ", "model[]", "model.x", "model[name]", "User", "user[]", "STREAM"),
        *("\uff4dodel", "safety.identifier", "safety identifier"),
        *("_charset_", "Safety_Identifier", "Metadata[user_id]", "metadata[ user_id ]"),
    ],
)
def test_a_name_that_looks_like_one_that_is_read_is_refused(name: str):
    refused = fault(b'content-disposition: form-data; name="%b"' % name.encode())

    assert (refused.code, refused.param) == ("ambiguous_field", name)


@pytest.mark.parametrize("name", ["api_key", "base_url", "API_BASE", "extra_headers[x]"])
def test_fields_that_redirect_requests_elsewhere_are_refused(name: str):
    assert fault(b'content-disposition: form-data; name="%b"' % name.encode()).code == "field_not_allowed"


@pytest.mark.parametrize(
    "lines",
    [
        [NAMED + b'; filename="m.txt"'],
        [NAMED, b"content-type: application/json"],
        [NAMED, b"content-type: text/plain; charset=utf-16"],
    ],
)
def test_a_field_that_is_read_is_plain_text(lines: list[bytes]):
    refused = fault(*lines)

    assert (refused.code, refused.param) == ("invalid_type", "model")
