"""What requests of other endpoints than chat say."""

from __future__ import annotations

import pytest

from gateway.errors import BadRequestError
from gateway.proxy import wire
from gateway.proxy.endpoints import KNOWN, OTHER

MODERATIONS = KNOWN["/v1/moderations"]
SPEECH = KNOWN["/v1/audio/speech"]


@pytest.mark.parametrize("body", [b'{"input":"x"}', b'{"input":"x","model":null}'])
def test_a_request_without_a_model_means_its_endpoints_default(body: bytes):
    reading = wire.read(body, MODERATIONS)

    assert reading.model == "omni-moderation-latest"
    assert wire.rewrite(reading, "omni-moderation-latest", inject_usage=False) == body
    assert b'"model":"tuned"' in wire.rewrite(reading, "tuned", inject_usage=False)


def test_an_empty_name_means_no_default():
    with pytest.raises(BadRequestError, match="names no model"):
        wire.read(b'{"model":""}', MODERATIONS)


@pytest.mark.parametrize(
    ("value", "stream"), [(b'"sse"', True), (b'"audio"', False), (b"null", False), (b"1", False), (b'["sse"]', False)]
)
def test_sound_can_be_asked_for_as_events(value: bytes, stream: bool):  # noqa: FBT001 - a table's column
    body = b'{"model":"m","stream_format":' + value + b"}"

    assert wire.read(body, SPEECH).stream is stream
    assert not wire.read(body).stream


def test_a_stream_is_asked_for_alike_everywhere():
    assert wire.read(b'{"model":"m","stream":true}', OTHER).stream


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (b"3", 3),
        (b"1", 1),
        (b"0", 1),
        (b"-4", 1),
        (b"null", 1),
        (b'"3"', 1),
        (b"2.5", 1),
        (b"[]", 1),
        (b"9" * 30, wire.MAX_FIELDS),
        (b"999999", wire.MAX_FIELDS),
    ],
)
def test_how_many_are_wanted(value: bytes, count: int):
    assert wire.read(b'{"model":"m","n":' + value + b"}").count("n") == count
    assert wire.read(b'{"model":"m"}').count("n") == 1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        (b'"previous_response_id":"r1"', "r1"),
        (b'"conversation":"c1"', "c1"),
        (b'"conversation":{"id":"c1","x":1}', "c1"),
        (b'"previous_response_id":"r1","conversation":"c1"', "r1"),
        (b'"previous_response_id":null,"conversation":"c1"', "c1"),
        (b'"previous_response_id":7', None),
        (b'"previous_response_id":{"id":7}', None),
        (b'"conversation":{}', None),
        (b'"conversation":[]', None),
        (b'"conversation":' + b"[" * 300 + b"]" * 300, None),
        (b'"input":"x"', None),
    ],
)
def test_what_a_request_goes_on_from(fields: bytes, kept: str | None):
    assert wire.read(b'{"model":"m",' + fields + b"}").continues() == kept
