"""What may differ between a call to the upstream itself and one through the gateway; all else is equal, byte for byte.

Towards the upstream: the model's name, the usage option, headers outside the list, the credential. Towards the client:
headers outside the list, the gateway's own headers, keep-alive comments, the withheld usage chunk. What becomes of
failures stands in `test_exceptions.py`: no shape fails.
"""

from __future__ import annotations

import json
import re

from tests.fakes.peer import Request
from tests.fakes.wire_caller import Header, Received
from tests.transparency.shape import Call
from tests.transparency.stage import CREDENTIAL, SERVED, Seen, Way

TO_THE_UPSTREAM = frozenset({b"content-type", b"accept", b"openai-beta", b"idempotency-key"})
BACK = re.compile(
    rb"content-type|content-disposition|cache-control|retry-after(-ms)?|x-should-retry|x-ratelimit-.+"
    rb"|openai-processing-ms|openai-version"
)
OWN = re.compile(rb"x-request-id|x-turnout-(rollout|arm|model|bucket|latency-ms|cost-usd)")
FRAMING = frozenset({b"content-length", b"transfer-encoding", b"connection", b"date"})
COMMENT = b": keep-alive\n\n"
USAGE_PATHS = frozenset({"/v1/chat/completions", "/v1/completions"})
"""Where, by the API, a stream's usage has to be asked for."""

_READ = json.JSONDecoder(parse_int=str, parse_float=str)
_SPACE = " \t\r\n"
Fields = list[tuple[str, bytes]]


def assert_upstream_heard_the_same(call: Call, way: Way, direct: Seen, through: Seen) -> None:
    """Compare what the two requests were when they arrived."""
    assert through.heard.lines[0] == direct.heard.lines[0]
    assert _headers_heard(through.heard) == _headers_due(through)
    if call.shape.is_opaque:
        assert_same_bytes(through.heard.body, call.body, "the request's body")
    elif call.shape.content_type.startswith(b"multipart/form-data"):
        assert_same_form(call.shape.content_type, direct.heard.body, through.heard.body)
    else:
        assert_same_json(direct.heard.body, through.heard.body, asks_usage=_is_asked_for_usage(call))
    if way == SERVED[way] and not _is_asked_for_usage(call):
        assert_same_bytes(through.heard.body, call.body_for(way), "where nothing has to change, nothing does")


def assert_client_received_the_same(call: Call, way: Way, direct: Received, through: Received) -> None:
    """Compare the two answers."""
    asks_usage = call.usage == "asked" and call.shape.path in USAGE_PATHS
    assert (through.status, through.is_whole) == (direct.status, direct.is_whole)
    assert_same_bytes(direct.body, call.answer.said(asks_usage=asks_usage), "what the upstream's own client received")
    assert_same_bytes(without_comments(through.body), direct.body, "what the gateway's client received")
    assert headers_back(through) == headers_due_back(direct)
    assert not [
        name
        for name, _ in through.headers
        if not (OWN.fullmatch(name) or BACK.fullmatch(name) or name in FRAMING or name == b"x-upstream-request-id")
    ]
    shown = [value.decode() for name, value in through.headers if name == b"x-turnout-model"]
    assert shown == ([] if call.shape.is_opaque else [SERVED[way]])
    assert b"forged" not in [value for name, value in through.headers if name == b"x-turnout-arm"]


def assert_same_bytes(actual: bytes, expected: bytes, what: str) -> None:
    """Compare, and show the first difference; whole bodies would fill a screen."""
    if actual != expected:
        places = (at for at, (one, other) in enumerate(zip(actual, expected, strict=False)) if one != other)
        at = next(places, min(len(actual), len(expected)))
        near = slice(max(at - 40, 0), at + 40)
        assert actual[near] == expected[near], f"{what}: differs at byte {at} of {len(expected)}"


def assert_same_json(direct: bytes, through: bytes, *, asks_usage: bool) -> None:
    """Compare two JSON objects field by field; a value is equal when its text is."""
    expected = fields(direct)
    if asks_usage:
        sent = dict(expected).get("stream_options", b"null")
        options = {} if sent == b"null" else dict(fields(sent))
        asked = dict(fields(dict(fields(through))["stream_options"]))
        assert asked.pop("include_usage") == b"true"
        options.pop("include_usage", None)
        assert asked == options
        expected = [each for each in expected if each[0] != "stream_options"]
    actual = [each for each in fields(through) if not (asks_usage and each[0] == "stream_options")]
    assert [name for name, _ in actual] == [name for name, _ in expected]
    for (name, value), (_, wanted) in zip(actual, expected, strict=True):
        same = json.loads(value) == json.loads(wanted) if name == "model" else value == wanted
        assert same, f"{name}: {value[:200]!r} is not {wanted[:200]!r}"


def fields(body: bytes) -> Fields:
    """Return an object's fields in order, keys decoded, each value as the text it came in."""
    text = body.decode()
    at = _skip(text, text.index("{") + 1)
    found: Fields = []
    while text[at] != "}":
        name, at = _READ.raw_decode(text, at)
        start = _skip(text, _skip(text, at) + 1)
        _, end = _READ.raw_decode(text, start)
        found.append((name, text[start:end].encode()))
        at = _skip(text, end)
        at = _skip(text, at + 1) if text[at] == "," else at
    return found


def assert_same_form(content_type: bytes, direct: bytes, through: bytes) -> None:
    """Compare two multipart forms: all bytes, but for the content of the part that names the model."""
    boundary = b"--" + content_type.partition(b"boundary=")[2].strip(b'"')
    expected, actual = direct.split(boundary), through.split(boundary)
    assert len(actual) == len(expected)
    for part, wanted in zip(actual, expected, strict=True):
        if re.search(rb'name="?model"?[;\r]', wanted.partition(b"\r\n\r\n")[0]):
            assert part.partition(b"\r\n\r\n")[2] == wanted.partition(b"\r\n\r\n")[2]
        else:
            assert part == wanted


def without_comments(body: bytes) -> bytes:
    """Take out the gateway's comments, which stand between events alone."""
    return re.sub(rb"(?:\A|(?<=\n\n)|(?<=\r\r)|(?<=\n\r)|(?<=\n\r\n))(?:" + re.escape(COMMENT) + rb")+", b"", body)


def headers_back(received: Received) -> list[Header]:
    """Return the headers by which the gateway tells what the upstream said."""
    kept = [(name, value) for name, value in received.headers if BACK.fullmatch(name)]
    return sorted([*kept, *((name, value) for name, value in received.headers if name == b"x-upstream-request-id")])


def headers_due_back(direct: Received) -> list[Header]:
    """Return what of the upstream's headers its client should see through the gateway."""
    kept = [(name, value) for name, value in direct.headers if BACK.fullmatch(name)]
    renamed = [(b"x-upstream-request-id", value) for name, value in direct.headers if name == b"x-request-id"]
    return sorted([*kept, *renamed])


def _is_asked_for_usage(call: Call) -> bool:
    """Tell whether the gateway has to ask for usage by itself."""
    return call.streams and call.usage != "asked" and call.shape.path in USAGE_PATHS


def _headers_heard(heard: Request) -> dict[str, str]:
    """Return the headers that say something of the request, other than how its body is framed."""
    names = [name for name, _ in heard.headers]
    framing = {"content-length", "transfer-encoding"}
    assert len(names) == len(set(names))
    assert len(framing & set(names)) <= 1
    return {name: value for name, value in heard.headers if name not in framing}


def _headers_due(through: Seen) -> dict[str, str]:
    listed = {name.decode(): value.decode() for name, value in through.sent_headers if name in TO_THE_UPSTREAM}
    return {**listed, "host": through.upstream, "authorization": f"Bearer {CREDENTIAL}"}


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
