"""Forms (multipart/form-data) as the usual clients write them: edits and variations of images, transcriptions.

The fields that decide something stand before the first file, as all official clients send them, or behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.fakes.reciting import Answer
from tests.transparency.shape import MODEL, Shape, answering, event, streaming
from tests.transparency.shapes.chat_requests import PIXEL
from tests.transparency.shapes.errors import told

_SOUND = b"ID3\x04" + bytes(range(256)) * 20
_LARGE = bytes(range(255, -1, -1)) * 12_000
Part = tuple[bytes, bytes]
"""The lines of a part's head, and its content."""


def field(name: str, value: bytes | str) -> Part:
    """Return a plain field."""
    content = value if isinstance(value, bytes) else value.encode()
    return b'Content-Disposition: form-data; name="%b"' % name.encode(), content


def file(name: str, content: bytes, filename: str = "a.mp3", kind: str = "application/octet-stream") -> Part:
    """Return a file."""
    named = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}'
    return named.encode(), content


def form(
    name: str,
    path: str,
    whole: Answer,
    *parts: Part,
    boundary: bytes = b"0123456789abcdef0123456789abcdef",
    quoted: bool = False,
    end: bytes = b"\r\n",
    chunk_bytes: int | None = None,
) -> Shape:
    """Return a shape by the parts of its form."""
    pieces = [b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for head, content in parts]
    named = b'"%b"' % boundary if quoted else boundary
    return Shape(
        name=f"form-{name}",
        path=path,
        body=b"".join(pieces) + b"--%b--" % boundary + end,
        content_type=b"multipart/form-data; boundary=" + named,
        whole=whole,
        chunk_bytes=chunk_bytes,
    )


_NAMED = field("model", MODEL)
_USED = {"type": "tokens", "input_tokens": 14, "output_tokens": 9, "total_tokens": 23}
_HEARD = answering({"text": "Good morning.", "usage": _USED, "logprobs": [{"token": "Good", "logprob": -0.0}]})
_VERBOSE = answering({"task": "transcribe", "duration": 8.470000267028809, "text": "Hi", "words": [], "segments": [{}]})
_SUBTITLES = b"1\r\n00:00:00,000 --> 00:00:01,500\r\nGood morning.\r\n\r\n"
_HEARING = streaming(
    event({"type": "transcript.text.delta", "delta": "Good"}),
    event({"type": "transcript.text.delta", "delta": " morning.", "logprobs": []}),
    event({"type": "transcript.text.done", "text": "Good morning.", "usage": _USED}),
)
_DRAWN = answering({"created": 1, "data": [{"b64_json": PIXEL * 20}], "usage": {"input_tokens": 5, "output_tokens": 9}})


def _drawing(*indexes: int, ends: int = 1) -> Answer:
    partial = [{"type": "image_edit.partial_image", "partial_image_index": at, "b64_json": PIXEL} for at in indexes]
    ended = [{"type": "image_edit.completed", "b64_json": PIXEL, "usage": _USED}] * ends
    return streaming(*[event(each, kind=each["type"]) for each in (*partial, *ended)])


def transcription(name: str, whole: Answer, parts: Sequence[Part], **about: Any) -> Shape:
    """Return a shape of a transcription."""
    return form(f"transcription-{name}", "/v1/audio/transcriptions", whole, *parts, **about)


def edit(name: str, whole: Answer, parts: Sequence[Part], **about: Any) -> Shape:
    """Return a shape of an edit of images."""
    return form(f"edit-{name}", "/v1/images/edits", whole, *parts, **about)


_FILE = file("file", _SOUND, kind="audio/mpeg")
_TEXT = (b"content-type: text/plain; charset=utf-8",)
_BROWSER = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
_CURL = b"------------------------d74496d66958873e"

FORMS = (
    transcription("plain", _HEARD, [_NAMED, _FILE]),
    transcription("of-a-browser", _HEARD, [_NAMED, field("language", "de"), _FILE], boundary=_BROWSER),
    transcription("of-curl", _HEARD, [_NAMED, _FILE], boundary=_CURL),
    transcription("file-first", _HEARD, [_FILE, field("temperature", "0"), _NAMED]),
    transcription("quoted-boundary", _HEARD, [_NAMED, _FILE], boundary=b"----=_Part_0_123.456", quoted=True),
    transcription("without-last-line-end", _HEARD, [_NAMED, _FILE], end=b""),
    transcription(
        "all-fields",
        _VERBOSE,
        [
            _NAMED,
            field("response_format", "verbose_json"),
            field("timestamp_granularities[]", "word"),
            field("timestamp_granularities[]", "segment"),
            field("include[]", "logprobs"),
            field("prompt", "N\u00e4mlich \U0001f642\r\n--not-the-boundary\r\n"),
            field("chunking_strategy", '{"type":"server_vad","threshold":1.10}'),
            field("temperature", "-0.0"),
            field("empty", ""),
            _FILE,
        ],
    ),
    transcription(
        "as-text", Answer(body=b"Good morning.\n", headers=_TEXT), [_NAMED, field("response_format", "text"), _FILE]
    ),
    transcription(
        "as-subtitles", Answer(body=_SUBTITLES, headers=_TEXT), [_NAMED, field("response_format", "srt"), _FILE]
    ),
    transcription("streamed", _HEARING, [_NAMED, field("stream", "true"), _FILE]),
    transcription("large", _HEARD, [_NAMED, file("file", _LARGE, "gro\u00df.wav", "audio/wav")]),
    transcription("in-chunks", _HEARD, [_NAMED, _FILE], chunk_bytes=7),
    transcription("large-in-chunks", _HEARD, [_NAMED, file("file", _LARGE)], chunk_bytes=65_537),
    transcription("file-first-in-chunks", _HEARD, [_FILE, _NAMED], chunk_bytes=1000),
    transcription("large-file-first", _HEARD, [file("file", _LARGE), _NAMED]),
    transcription(
        "likely-boundaries",
        _HEARD,
        [_NAMED, file("file", b"\r\n--0123\r\n--0123456789abcdef0123456789abcde\r\n-" * 500)],
    ),
    transcription("empty-file", told(b"400 Bad Request", "invalid_request_error", None), [_NAMED, file("file", b"")]),
    transcription("too-large", Answer(status=b"413 Payload Too Large", body=b"<p>No.", headers=_TEXT), [_NAMED, _FILE]),
    transcription("limited", told(b"429 Too Many Requests", "tokens", None, b"retry-after: 9"), [_NAMED, _FILE]),
    form("translation", "/v1/audio/translations", answering({"text": "Good morning."}), _NAMED, _FILE),
    edit("plain", _DRAWN, [_NAMED, field("prompt", "A hat"), file("image", _SOUND, "a.png", "image/png")]),
    edit(
        "several-and-mask",
        _DRAWN,
        [
            file("image[]", _SOUND, "a.png", "image/png"),
            file("image[]", b"\x89PNG\r\n\x1a\n", "b.png", "image/png"),
            file("mask", b"\x00\r\n\r\n\x00", "m.png", "image/png"),
            field("prompt", "A hat \u2013 blue"),
            field("user", "customer-12"),
            _NAMED,
            field("n", "2"),
        ],
    ),
    edit(
        "streamed",
        _drawing(0, 1),
        [_NAMED, field("stream", "true"), field("partial_images", "2"), file("image", _SOUND, "a.png", "image/png")],
    ),
    edit(
        "two-streamed",
        _drawing(0, ends=2),
        [_NAMED, field("stream", "true"), field("n", "2"), file("image", _SOUND, "a.png", "image/png")],
    ),
    form("variation", "/v1/images/variations", _DRAWN, _NAMED, file("image", _SOUND, "a.png", "image/png")),
)
