"""An upstream that recites: whatever it is asked, it answers the bytes that it was given, cut where it was told."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from tests.fakes.peer import Peer, Request, head
from tests.fakes.upstream import CHUNKED, chunk, serving

Framing = Literal["length", "chunked", "close", "none"]
"""How the body's end is told; `close`: by the connection's end; `none`: there is no body, as 204 has none."""
DONE = b"data: [DONE]"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the upstream answers, byte for byte; `cuts` are places in the body where one write, or chunk, ends.

    `usage` is said before `[DONE]` (or at the end) to those alone who ask for it by `stream_options.include_usage`.
    `tears`: the cuts are made in the framed bytes instead, so that they go through chunk sizes as well. `breaks`: the
    connection ends where the last chunk should stand. `pause_s` follows each write. `interim` heads come before.
    """

    body: bytes
    status: bytes = b"200 OK"
    headers: tuple[bytes, ...] = (b"content-type: application/json",)
    framing: Framing = "length"
    usage: bytes = b""
    cuts: tuple[int, ...] = ()
    tears: bool = False
    breaks: bool = False
    pause_s: float = 0.0
    interim: bytes = b""

    def said(self, *, asks_usage: bool) -> bytes:
        """Return the body for somebody who asks for usage, or does not."""
        if not (self.usage and asks_usage):
            return self.body
        at = self.body.rfind(DONE)
        at = len(self.body) if at < 0 else at
        return self.body[:at] + self.usage + self.body[at:]

    def writes(self, *, asks_usage: bool) -> list[bytes]:
        """Return what is written to the socket, write by write."""
        body = self.said(asks_usage=asks_usage)
        pieces = [body] if self.tears else cut(body, self.cuts)
        if self.framing == "chunked":
            ending = [] if self.breaks else [chunk(b"")]
            framed = [head(CHUNKED, *self.headers, status=self.status), *map(chunk, filter(None, pieces)), *ending]
        elif self.framing == "close":
            framed = [head(b"connection: close", *self.headers, status=self.status), *pieces]
        elif self.framing == "length":
            framed = [head(b"content-length: %d" % len(body), *self.headers, status=self.status), *pieces]
        else:
            framed = [head(*self.headers, status=self.status)]
        framed = [self.interim, *framed] if self.interim else framed
        return cut(b"".join(framed), self.cuts) if self.tears else framed


def cut(whole: bytes, places: Sequence[int]) -> list[bytes]:
    """Return the pieces between these places, which may come in any order, repeatedly, or behind the end."""
    ends = sorted({0, *(place for place in places if 0 < place < len(whole)), len(whole)})
    return [whole[start:end] for start, end in pairwise(ends)] or [whole]


@dataclass(kw_only=True)
class Reciter:
    """The upstream's text of the moment, and the requests that it has heard."""

    answer: Answer = field(default_factory=lambda: Answer(body=b"{}"))
    heard: list[Request] = field(default_factory=list[Request])
    url: str = ""

    async def recite(self, peer: Peer) -> None:
        """Answer every request of a connection; each write leaves at once, or cuts would be mended on the way."""
        with contextlib.suppress(OSError):
            peer.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            request = await peer.read()
            self.heard.append(request)
            answer = self.answer
            await peer.send(*answer.writes(asks_usage=asks_usage(request.body)), pause_s=answer.pause_s)
            if answer.breaks or answer.framing == "close":
                return peer.close()


def asks_usage(body: bytes) -> bool:
    """Tell whether a request asks for the usage of its stream."""
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    options = asked.get("stream_options") if isinstance(asked, dict) else None
    return isinstance(options, dict) and options.get("include_usage") is True


@contextlib.contextmanager
def reciting() -> Iterator[Reciter]:
    """Run one for the length of a test."""
    reciter = Reciter()
    with serving(reciter.recite) as fake:
        reciter.url = fake.url
        yield reciter
