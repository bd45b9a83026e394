"""Forms that are broken, or that two servers could read differently; and paths without a model that nobody granted."""

from __future__ import annotations

import pytest

from tests.bad_input.front import CANARY, Front
from tests.fakes.forms import BOUNDARY, END, KIND, field, file, form, part

PATH = b"POST /v1/audio/transcriptions HTTP/1.1"
MODEL = field("model", "sales-companion")
SOUND = file(CANARY.encode() * 20)
WHOLE = form(MODEL, SOUND)
LINE_FEEDS = b"\n--" + BOUNDARY + b'\nContent-Disposition: form-data; name="model"\n\nbase'

REFUSED: dict[str, tuple[bytes, bytes, str]] = {
    "no boundary": (b"multipart/form-data", WHOLE, "invalid_multipart"),
    "two boundaries": (KIND + b"; boundary=b", WHOLE, "invalid_multipart"),
    "wrong boundary": (b"multipart/form-data; boundary=b", WHOLE, "invalid_multipart"),
    "long boundary": (b"multipart/form-data; boundary=" + b"b" * 71, WHOLE, "invalid_multipart"),
    "empty": (KIND, b"", "invalid_multipart"),
    "no end": (KIND, WHOLE.removesuffix(END), "invalid_multipart"),
    "preamble": (KIND, b"x" + WHOLE, "invalid_multipart"),
    "epilogue": (KIND, WHOLE + b"x", "invalid_multipart"),
    "bare line feeds": (KIND, WHOLE.replace(b"\r\n", b"\n"), "invalid_multipart"),
    "boundary goes on": (KIND, form(MODEL, file(b"\r\n--" + BOUNDARY + b"x")), "invalid_multipart"),
    "a second model behind a bare line feed": (KIND, form(MODEL, field("prompt", LINE_FEEDS)), "invalid_multipart"),
    "a second model in a file": (KIND, form(MODEL, file(LINE_FEEDS)), "invalid_multipart"),
    "a second model in the model": (KIND, form(field("model", b"base" + LINE_FEEDS)), "invalid_multipart"),
    "an end behind a bare line feed": (
        KIND,
        form(field("prompt", b"x\n--" + BOUNDARY + b"--\n"), MODEL),
        "invalid_multipart",
    ),
    "a comma in the boundary": (KIND + b",x", WHOLE.replace(BOUNDARY, BOUNDARY + b",x"), "invalid_multipart"),
    "an encoded name": (KIND, form(MODEL, field("=?utf-8?q?model?=", "base")), "invalid_multipart"),
    "a quoted name": (KIND, form(MODEL, field("'model'", "base")), "invalid_multipart"),
    "JSON in a form": (KIND, b'{"model":"sales-companion"}', "invalid_multipart"),
    "a form as JSON": (b"application/json", WHOLE, "invalid_json"),
    "long head": (KIND, form(MODEL, part(b"x: " + b"y" * 9000)), "invalid_multipart"),
    "many parts": (KIND, form(MODEL, *[field("x", "1")] * 1001), "invalid_multipart"),
    "nested": (KIND, form(MODEL, field("x", "1", b"content-type: multipart/mixed; boundary=c")), "invalid_multipart"),
    "base64": (KIND, form(field("model", "c2FsZXM=", b"content-transfer-encoding: base64")), "invalid_multipart"),
    "no name": (KIND, form(MODEL, part(b"content-disposition: form-data")), "invalid_multipart"),
    "two models": (KIND, form(MODEL, MODEL, SOUND), "duplicate_field"),
    "two models around a file": (KIND, form(MODEL, SOUND, field("model", "gpt-4o-mini")), "duplicate_field"),
    "two users": (KIND, form(MODEL, field("user", "a"), field("user", "b"), SOUND), "duplicate_field"),
    "look-alike": (KIND, form(MODEL, field("Model", "gpt-4o-mini")), "ambiguous_field"),
    "array look-alike": (KIND, form(MODEL, field("model[]", "gpt-4o-mini")), "ambiguous_field"),
    "charset": (KIND, form(MODEL, field("_charset_", "utf-16")), "ambiguous_field"),
    "redirect": (KIND, form(MODEL, field("base_url", "http://x")), "field_not_allowed"),
    "model as a file": (KIND, form(file(b"sales-companion", "model"), SOUND), "invalid_type"),
    "model in no UTF-8": (KIND, form(field("model", b"\xff")), "invalid_type"),
    "long model": (KIND, form(field("model", "m" * 257)), "invalid_model"),
    "endless model": (KIND, form(field("model", "m" * 5000)), "field_too_long"),
    "two lines of model": (KIND, form(field("model", "a\r\nb")), "invalid_model"),
    "no model": (KIND, form(SOUND), "missing_model"),
    "long user": (KIND, form(MODEL, field("user", "u" * 513)), "user_key_too_long"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_form_that_cannot_be_read_in_one_way_alone_is_refused(front: Front, case: str):
    kind, body, code = REFUSED[case]

    answer = front.raw(b"content-type: " + kind, first=PATH, body=body)

    named = answer.error["param"]
    assert (named is None) == (code in {"invalid_multipart", "invalid_json"})
    front.assert_refused(answer, 400, code, named)


def test_two_content_types_are_none(front: Front):
    answer = front.raw(b"content-type: " + KIND, b"content-type: " + KIND, first=PATH, body=WHOLE)

    front.assert_refused(answer, 400, "invalid_multipart")


def test_a_coded_form_is_refused(front: Front):
    answer = front.raw(b"content-type: " + KIND, b"content-encoding: gzip", first=PATH, body=WHOLE)

    front.assert_refused(answer, 415, "unsupported_media_type")


def test_a_form_of_an_unknown_model_is_refused_before_its_file_has_come(front: Front):
    body = form(field("model", "nobody"), SOUND)
    head = b"\r\n".join(
        [PATH, b"Host: localhost", b"Authorization: Bearer " + front.key.encode(), b"content-type: " + KIND]
    )

    answer = front.bytes(head + b"\r\ncontent-length: 500000000\r\n\r\n" + body[:300])

    front.assert_refused(answer, 404, "model_not_found", "model")


def test_a_form_over_the_limit_is_refused_by_its_head(front: Front):
    head = b"\r\n".join(
        [PATH, b"Host: localhost", b"Authorization: Bearer " + front.key.encode(), b"content-type: " + KIND]
    )

    answer = front.bytes(head + b"\r\ncontent-length: 600000000\r\n\r\n")

    front.assert_refused(answer, 413, "request_too_large")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v1/files", "/v1/files/file-1/content", "/v1/fine_tuning/jobs", "/v1/organization/users"]
)
def test_what_was_granted_to_nobody_is_not_there(front: Front, method: str, path: str):
    answer = front.raw(first=f"{method} {path} HTTP/1.1".encode(), body=b"")

    front.assert_refused(answer, 404, "unknown_url", is_recorded=False)
    assert "passthrough" in answer.error["message"]
