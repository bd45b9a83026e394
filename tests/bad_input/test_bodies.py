"""Bodies that are too large, cut off, no JSON, ambiguous or of the wrong types."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.harness import until
from tests.bad_input.front import BODY, CANARY, PATH, Answer, Front, encoded

LIMIT_BYTES = 16 * 1024 * 1024
OVER = b'{"model":"sales-companion","x":"' + b"y" * LIMIT_BYTES + b'"}'


def test_a_body_that_declares_too_much_is_refused_unread(front: Front):
    front.assert_refused(front.post(OVER), 413, "request_too_large")


def test_a_body_that_declares_too_much_and_waits_for_leave_gets_the_refusal_instead(front: Front):
    answer = front.raw(b"Expect: 100-continue", b"Content-Length: %d" % len(OVER), length=False, body=b"")

    front.assert_refused(answer, 413, "request_too_large")
    assert answer.is_closed


def test_a_body_in_chunks_is_refused_when_it_has_become_too_large(front: Front):
    def pieces() -> Iterator[bytes]:
        for at in range(0, len(OVER), 1024 * 1024):
            yield OVER[at : at + 1024 * 1024]

    sent = httpx.post(
        f"{front.installation.gateway}{PATH}",
        content=pieces(),
        headers={"authorization": f"Bearer {front.key}"},
        trust_env=False,
        timeout=20,
    )

    answer = Answer(status=sent.status_code, headers=sent.headers, body=sent.content)
    front.assert_refused(answer, 413, "request_too_large")


def test_a_body_that_ends_too_early_is_recorded_as_cancelled(front: Front):
    address = urlsplit(front.installation.gateway)
    before = {frame.request_id for frame in front.frames()}
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {front.key}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 500\r\n\r\n" + encoded())

    until(lambda: bool({frame.request_id for frame in front.frames()} - before), "the record is there")

    (record,) = [frame for frame in front.frames() if frame.request_id not in before]
    assert (getattr(record, "outcome", None), getattr(record, "status", None)) == ("client_cancelled", None)


NO_JSON = {
    "nothing": b"",
    "a word": CANARY.encode(),
    "a cut object": encoded()[:-1],
    "a cut string": encoded()[:30],
    "two objects": encoded() + encoded(),
    "a comma too many": encoded()[:-1] + b",}",
    "a comment": b"/* */" + encoded(),
    "single quotes": encoded().replace(b'"', b"'"),
    "a byte order mark": b"\xef\xbb\xbf" + encoded(),
    "UTF-16": encoded().decode().encode("utf-16"),
    "NaN": encoded()[:-1] + b',"temperature":NaN}',
    "Infinity": encoded()[:-1] + b',"temperature":-Infinity}',
    "a control character": encoded(user=f"{CANARY}TAB").replace(b"TAB", b"\t"),
    "an unknown escape": encoded(user="\\x").replace(b"\\\\x", b"\\x"),
    "a list": b"[" + encoded() + b"]",
    "a string": b'"' + CANARY.encode() + b'"',
    "null": b"null",
    "a number": b"1",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_no_json_object_is_refused(front: Front, body: bytes):
    front.assert_refused(front.post(body), 400, "invalid_json")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("space", [b"", b" "])
def test_a_body_nested_a_hundred_thousand_deep_is_refused(front: Front, opening: bytes, space: bytes):
    closing = b"]" if opening == b"[" else b"}"
    deep = opening * 100_000 + b"1" + closing * 100_000

    front.assert_refused(front.post(encoded()[:-1] + b"," + space + b'"x":' + deep + b"}"), 400, "invalid_json")


@pytest.mark.parametrize("nested", ["model", "messages"])
def test_depth_in_a_field_that_is_read_is_refused_too(front: Front, nested: str):
    deep = b"[" * 100_000 + b"]" * 100_000

    front.assert_refused(
        front.post(b'{"model":"sales-companion","%s":%s}' % (nested.encode(), deep)), 400, "invalid_json"
    )


TWICE = {
    "plain": b',"model":"other"}',
    "with white space": b' , "model" : "other" }',
    "escaped": b',"mod\\u0065l":"other"}',
    "escaped in another case": b',"\\u006D\\u006fdel":"other"}',
    "twice the same": b',"model":"sales-companion"}',
}


@pytest.mark.parametrize("second", TWICE.values(), ids=TWICE)
def test_a_model_named_twice_is_refused(front: Front, second: bytes):
    front.assert_refused(front.post(encoded()[:-1] + second), 400, "duplicate_field", "model")


@pytest.mark.parametrize("name", ["user", "stream", "safety_identifier", "metadata", "x"])
def test_any_field_named_twice_is_refused(front: Front, name: str):
    twice = b',"%s":null,"%s":null}' % (name.encode(), name.encode())

    front.assert_refused(front.post(encoded()[:-1] + twice), 400, "duplicate_field", name)


BROKEN = {
    "a lone byte": b"\xff",
    "a cut sequence": b"\xc3",
    "an overlong slash": b"\xc0\xaf",
    "an encoded surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
}


@pytest.mark.parametrize("field", ["user", "model", "x"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_invalid_utf_8_is_refused_wherever_it_stands(front: Front, broken: bytes, field: str):
    front.assert_refused(front.post(encoded(**{field: "HERE"}).replace(b"HERE", broken)), 400, "invalid_json")


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "model 1": ({"model": 1}, "invalid_type", "model"),
    "model []": ({"model": ["gpt"]}, "invalid_type", "model"),
    "model null": ({"model": None}, "missing_model", "model"),
    "model empty": ({"model": ""}, "missing_model", "model"),
    "model too long": ({"model": "m" * 257}, "invalid_model", "model"),
    "model of ten million characters": ({"model": "m" * 10_000_000}, "invalid_model", "model"),
    "model with a line break": ({"model": "gpt\r\nx-turnout-arm: base"}, "invalid_model", "model"),
    "model with a NUL": ({"model": "gpt\0"}, "invalid_model", "model"),
    "stream yes": ({"stream": "yes"}, "invalid_type", "stream"),
    "stream 1": ({"stream": 1}, "invalid_type", "stream"),
    "stream_options []": ({"stream": True, "stream_options": []}, "invalid_type", "stream_options"),
    "include_usage 1": (
        {"stream": True, "stream_options": {"include_usage": 1}},
        "invalid_type",
        "stream_options.include_usage",
    ),
    "user 5": ({"user": 5}, "invalid_type", "user"),
    "user {}": ({"user": {"id": CANARY}}, "invalid_type", "user"),
    "safety_identifier true": ({"safety_identifier": True}, "invalid_type", "safety_identifier"),
    "metadata x": ({"metadata": CANARY}, "invalid_type", "metadata"),
    "metadata.user_id 7": ({"metadata": {"user_id": 7}}, "invalid_type", "metadata.user_id"),
    "api_base": ({"api_base": f"http://{CANARY}"}, "field_not_allowed", "api_base"),
    "base_url": ({"base_url": f"http://{CANARY}"}, "field_not_allowed", "base_url"),
    "api_key": ({"api_key": CANARY}, "field_not_allowed", "api_key"),
    "extra_headers": ({"extra_headers": {"x": CANARY}}, "field_not_allowed", "extra_headers"),
    "extra_headers null": ({"extra_headers": None}, "field_not_allowed", "extra_headers"),
}


@pytest.mark.parametrize(("changes", "code", "param"), WRONG.values(), ids=WRONG)
def test_a_field_of_the_wrong_kind_is_refused_by_its_name(front: Front, changes: dict[str, Any], code: str, param: str):
    front.assert_refused(front.post(encoded(**changes)), 400, code, param)


def test_a_body_without_a_model_is_refused(front: Front):
    body = encoded().replace(b'"model"', b'"modell"')

    front.assert_refused(front.post(body), 400, "missing_model", "model")


@pytest.mark.parametrize("model", ["gpt-unknown", "SALES-COMPANION", "sales-companion ", "*", "../gpt", "None"])
def test_an_unknown_model_is_refused_by_its_name(front: Front, model: str):
    answer = front.post(encoded(model=model))

    front.assert_refused(answer, 404, "model_not_found", "model")
    assert repr(model) in answer.error["message"]
    assert "GET /v1/models" in answer.error["message"]
    assert front.record(answer).model_requested == model


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"])
def test_json_is_read_whatever_it_calls_itself(running: Front, kind: str):
    assert running.post(content_type=kind).status == 200


def test_json_is_read_when_it_calls_itself_nothing(running: Front):
    answer = running.raw()

    assert answer.status == 200
    assert not answer.rest


def test_white_space_and_key_order_change_nothing(running: Front):
    body = b'\n{ "messages" : [ { "content" : "hi", "role" : "user" } ] ,\r\n\t"model" : "sales-companion" }\n'

    assert running.post(body).status == 200
    assert BODY["model"] == "sales-companion"
