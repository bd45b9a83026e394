from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.http1 import NotSendableError, Origin, request_head, target

URL = "http://models.test:8080/v1/chat/completions"


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls", "authority", "path"),
    [
        (URL, "models.test", 8080, False, "models.test:8080", "/v1/chat/completions"),
        ("https://models.test", "models.test", 443, True, "models.test", "/"),
        ("http://models.test:80?a=b", "models.test", 80, False, "models.test", "/?a=b"),
        ("http://[::1]:99/x#part", "::1", 99, False, "[::1]:99", "/x"),
        ("http://127.0.0.1/a//b/../c?x=%zz&&", "127.0.0.1", 80, False, "127.0.0.1", "/a//b/../c?x=%zz&&"),
    ],
)
def test_a_url_is_taken_apart_and_nothing_of_it_changed(
    url: str,
    host: str,
    port: int,
    is_tls: bool,  # noqa: FBT001 - of the table
    authority: str,
    path: str,
):
    found = target(url)

    is_literal = host in {"::1", "127.0.0.1"}
    assert found.origin == Origin(host=host, port=port, is_tls=is_tls, is_literal=is_literal)
    assert (found.authority, found.path) == (authority, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "models.test/v1",
        "ftp://models.test/",
        "http://",
        "http:///v1",
        "http://user@models.test/",
        "http://user:word@models.test/",
        "http://models.test:port/",
        "http://models.test:123456/",
        "http://[::1/",
        "http://a b/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://models.7/",
        "http://models.test/a b",
        "http://models.test/\r\nx: y",
        "http://models.test/\u00e9",
        "http://models.test\\@evil.test/",
    ],
)
def test_a_url_that_names_no_server_or_could_be_read_in_two_ways_is_not_sent(url: str):
    with pytest.raises(NotSendableError):
        target(url)


def test_a_head_has_its_host_its_headers_and_its_length():
    head = request_head("POST", target(URL), {"content-type": "application/json", "x-a": "\u00e9"}, 12)

    assert head == (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: models.test:8080\r\ncontent-type: application/json\r\n"
        b"x-a: \xc3\xa9\r\ncontent-length: 12\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "has_length"), [("POST", True), ("DELETE", True), ("GET", False), ("HEAD", False)])
def test_a_request_that_never_has_a_body_says_nothing_of_one(method: str, has_length: bool):  # noqa: FBT001 - of the table
    assert (b"content-length: 0" in request_head(method, target(URL), {}, 0)) == has_length


@given(
    st.dictionaries(st.text(max_size=8), st.text(max_size=12), max_size=4),
    st.sampled_from(["\r", "\n", "\0", "\r\n", ""]),
)
def test_a_head_is_as_many_lines_as_were_asked_for_or_is_not_sent(headers: dict[str, str], added: str):
    asked = {name: value + added for name, value in headers.items()}

    try:
        head = request_head("POST", target(URL), asked, 0)
    except (NotSendableError, UnicodeEncodeError):
        return

    lines = head.decode().split("\r\n")
    assert len(lines) == len(asked) + 5
    assert [line.partition(": ")[0] for line in lines[2:-3]] == list(asked)
    assert not any(letter in line for line in lines for letter in "\r\n\0")
