from __future__ import annotations

import httptools
import msgspec
import pytest

from gateway.errors import BadRequestError
from gateway.proxy.refusal import parsers_words, refusal


class Parsed:
    """What a parser calls; the target is refused by a callback."""

    def on_url(self, url: bytes) -> None:
        raise ValueError(url)


def test_a_refusal_is_one_whole_answer_and_the_last():
    error = BadRequestError("No.", code="invalid_http")

    head, _, body = refusal(error, "req-1").partition(b"\r\n\r\n")

    first, *lines = head.split(b"\r\n")
    assert first.startswith(b"HTTP/1.1 400 ")
    assert dict(line.split(b": ", 1) for line in lines) == {
        b"content-type": b"application/json",
        b"connection": b"close",
        b"x-request-id": b"req-1",
        b"content-length": b"%d" % len(body),
    }
    assert msgspec.json.decode(body)["error"]["code"] == "invalid_http"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET /secret HTTP/1.1\r\n", "its target cannot be read"),
        (b"secret", "its method is none of HTTP's; use GET or POST, in capital letters"),
    ],
)
def test_the_parsers_words_repeat_nothing_of_what_was_sent(sent: bytes, words: str):
    with pytest.raises(httptools.HttpParserError) as caught:
        httptools.HttpRequestParser(Parsed()).feed_data(sent)

    assert parsers_words(caught.value) == words
