"""Forms as a lenient reader sees them: of whatever Turnout takes, Python's `email` reads the same fields."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage, Message
from email.policy import HTTP, compat32

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.proxy.form import Form
from gateway.proxy.part import READ
from gateway.proxy.wire import FORBIDDEN_FIELDS
from tests.fakes.forms import BOUNDARY, KIND, field, file, form, part

DECIDING = READ | {"_charset_", *FORBIDDEN_FIELDS}
DASHES = b"--" + BOUNDARY
HIDDEN = b'content-disposition: form-data; name="model"'
ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b"", b" ", b"\x0b", b"\x85", b"\xe2\x80\xa8", b"-"])
CRUMBS = (
    st.sampled_from([DASHES, DASHES + b"--", HIDDEN, b"evil", b"--", b"\0", b"model"]) | ENDS | st.binary(max_size=4)
)
SNIPPETS = st.lists(CRUMBS, max_size=9).map(b"".join)
SMUGGLED = st.builds(
    lambda before, first, second, end: before + first + DASHES + end + second + HIDDEN + second + second + b"evil",
    st.binary(max_size=3),
    ENDS,
    ENDS,
    st.sampled_from([b"", b"--", b" ", b"\t"]),
)
CONTENTS = st.binary(max_size=20) | SNIPPETS | SMUGGLED | st.just(b"plain")
NAMES = st.sampled_from(
    [
        *("model", "user", "stream", "n", "prompt", "image[]", "metadata[user_id]", "metadata[x]", "api_key", "f"),
        *("'model'", "<model>", "=?utf-8?q?model?=", "mode%6c", "model;", "(model)", " model", "model\t", "MODEL", ""),
    ]
)
VALUES = NAMES | st.sampled_from(["a.wav", "=?utf-8?q?a=22;_name=3D=22model?=", "a; name=model", "a%22; name=%22model"])
PLAIN_PARTS = st.builds(field, NAMES, CONTENTS)
FILES = st.builds(file, CONTENTS, NAMES, VALUES)
HEADERS = st.lists(
    st.builds(lambda name, value: name + b":" + value, st.sampled_from([b"x-y", b"content-type", DASHES]), SNIPPETS),
    max_size=2,
)
ODD_PARTS = st.builds(
    lambda first, name, second, headers, content: part(
        b"content-disposition: form-data" + first + b"; name=" + name + second, *headers, content=content
    ),
    st.sampled_from([b"", b";filename=a", b'; filename="=?utf-8?q?=22;_name=3D=22model?="']),
    st.sampled_from([b"model", b"'model'", b'"model"', b"f", b'"f"', b"=?utf-8?q?model?="]),
    st.sampled_from([b"", b";filename='a; name=model'", b"; filename*=utf-8''a%22%3b%20name=%22model", b"; name*0=m"]),
    HEADERS,
    CONTENTS,
)
ODD = PLAIN_PARTS | FILES | ODD_PARTS
USUAL = st.lists(
    st.tuples(
        st.sampled_from(["user", "stream", "n", "prompt", "metadata[user_id]"]), st.sampled_from(["", "1", "a\r\n"])
    ),
    max_size=4,
    unique_by=lambda one: one[0],
).map(lambda fields: [field("model", "direct"), *(field(name, value) for name, value in fields)])
PARTS = st.builds(
    lambda usual, at, odd: [*usual[:at], *odd, *usual[at:]], USUAL, st.integers(0, 5), st.lists(ODD, max_size=2)
)


def seen_by_email(body: bytes, policy: object) -> dict[str, list[bytes]]:
    """Return the fields that decide something, each with all of its values."""
    head = b"content-type: " + KIND + b"\r\n\r\n"
    whole = message_from_bytes(head + body, policy=policy)  # pyright: ignore[reportCallIssue, reportArgumentType]
    seen: dict[str, list[bytes]] = {}
    payload = whole.get_payload()
    for one in payload if isinstance(payload, list) else []:
        assert isinstance(one, Message | EmailMessage)
        name = one.get_param("name", header="content-disposition")
        if isinstance(name, str) and name.strip().casefold() in DECIDING:
            content = one.get_payload(decode=True)
            seen.setdefault(name, []).append(content if isinstance(content, bytes) else b"")
    return seen


def seen_here(body: bytes) -> dict[str, list[bytes]] | None:
    reading = Form(KIND)
    try:
        reading.feed(body)
        reading.end()
    except BadRequestError:
        return None
    return {name: [value.encode()] for name, value in reading.fields.items()}


@pytest.mark.parametrize("policy", [HTTP, compat32], ids=["http", "compat32"])
@given(PARTS)
@example([field("model", "direct"), field("prompt", b"x\n" + DASHES + b"\n" + HIDDEN + b"\n\nevil")])
@example([field("model", "direct"), file(b"x\r" + DASHES + b"\r" + HIDDEN + b"\r\revil")])
@example([field("prompt", b"x\n" + DASHES + b"--\n"), field("model", "direct")])
@example([field("model", "direct"), field("=?utf-8?q?model?=", "evil")])
@example([field("model", "direct"), field("'model'", "evil")])
def test_a_lenient_reader_sees_the_fields_that_were_decided_by(policy: object, parts: list[bytes]):
    body = form(*parts)
    ours = seen_here(body)

    assert ours is None or ours == seen_by_email(body, policy)


def test_the_second_reader_sees_what_is_hidden():
    body = form(field("model", "direct"), field("prompt", b"x\n" + DASHES + b"\n" + HIDDEN + b"\n\nevil"))

    assert seen_by_email(body, HTTP) == {"model": [b"direct", b"evil"]}
    assert seen_here(form(field("model", "direct"), field("user", "ann"))) == {"model": [b"direct"], "user": [b"ann"]}
