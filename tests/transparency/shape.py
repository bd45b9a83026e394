"""One request shape: what a client asks of an endpoint, and what the upstream answers. Nothing here does anything.

A new endpoint is covered by a few entries in `shapes/`; the harness asks each of them in every way that applies.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tests.fakes.reciting import Answer

MODEL = b"@MODEL@"
"""Stands for the model's name in a request's body, once; the harness puts in the name that is asked for."""

Usage = Literal["unasked", "asked", "declined"]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape: `body` as the client sends it, with `MODEL` in the place of the model's name.

    `whole` is the answer to the body as it is; `streamed` the answer to the same body with `"stream": true` at its
    end, or None where the endpoint has no streams. `is_opaque`: nothing of the request is read, so that nothing of it
    changes, and no model is in it. `chunk_bytes`: the client sends its body in chunks of this size, its length untold.
    """

    name: str
    body: bytes
    path: str = "/v1/chat/completions"
    method: str = "POST"
    query: str = ""
    content_type: bytes = b"application/json"
    whole: Answer | None = None
    streamed: Answer | None = None
    is_opaque: bool = False
    chunk_bytes: int | None = None

    def calls(self) -> Iterator[Call]:
        """Return every way in which this shape is asked for."""
        if self.whole is not None:
            yield Call(shape=self, answer=self.whole, body=self.body)
        if self.streamed is not None:
            yield Call(shape=self, answer=self.streamed, body=_with(self.body, b'"stream":true'), streams=True)
            if self.streamed.usage:
                yield self._about_usage("asked", b"true")
                yield self._about_usage("declined", b"false")

    def _about_usage(self, usage: Usage, flag: bytes) -> Call:
        assert self.streamed is not None
        options = b'"stream":true,"stream_options":{"include_obfuscation":false, "include_usage" : ' + flag + b"}"
        return Call(shape=self, answer=self.streamed, body=_with(self.body, options), streams=True, usage=usage)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One way of asking for a shape."""

    shape: Shape
    answer: Answer
    body: bytes
    streams: bool = False
    usage: Usage = "unasked"

    @property
    def name(self) -> str:
        ways = ["streamed"] if self.streams else []
        return "-".join([self.shape.name, *ways, *([] if self.usage == "unasked" else [f"usage-{self.usage}"])])

    @property
    def is_stream(self) -> bool:
        """Tell whether the answer passes as a stream of events."""
        is_one = any(b"text/event-stream" in header.lower() for header in self.answer.headers)
        return is_one and self.answer.status.startswith(b"2")

    def body_for(self, model: str) -> bytes:
        """Return the body that names this model."""
        return self.body.replace(MODEL, model.encode())


def _with(body: bytes, fields: bytes) -> bytes:
    at = body.rindex(b"}")
    return body[:at].rstrip() + b"," + fields + body[at:]


def asking(**fields: Any) -> bytes:
    """Return a JSON body with the model's name and these fields."""
    return json.dumps({"model": MODEL.decode(), **fields}, ensure_ascii=False).encode()


def answering(content: Mapping[str, Any] | list[Any], **about: Any) -> Answer:
    """Return a whole answer in the indented JSON that OpenAI's servers write."""
    return Answer(body=json.dumps(content, indent=2, ensure_ascii=False).encode() + b"\n", **about)


def streaming(*events: bytes, **about: Any) -> Answer:
    """Return a chunked answer of server-sent events, each a write of its own."""
    ends = tuple(sum(map(len, events[: at + 1])) for at in range(len(events)))
    headers = (b"content-type: text/event-stream; charset=utf-8", b"cache-control: no-cache")
    return Answer(**{"body": b"".join(events), "headers": headers, "framing": "chunked", "cuts": ends, **about})


def event(content: Mapping[str, Any], *, kind: str = "") -> bytes:
    """Return one event, with its type where the endpoint's events have one."""
    named = f"event: {kind}\n".encode() if kind else b""
    return named + b"data: " + json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"
