"""`python -m benchmarks.upstream`: a model server on bare asyncio protocols, so that it is never what limits.

A query says how it answers: `?chunks=100&every_ms=20` streams a chunk of 290 bytes every 20 ms, `every_ms=0` all at
once; without one the answer is whole, 1.4 KB of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from pathlib import Path
from typing import cast

import uvloop

CHUNK_BYTES = 290
_USAGE = {"prompt_tokens": 900, "completion_tokens": 220, "total_tokens": 1120}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_QUERY = re.compile(rb"^[^\r]*\?chunks=(\d+)&every_ms=(\d+)")
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def whole_answer() -> str:
    """Return a chat completion of 1.4 KB."""
    message = {"role": "assistant", "content": "x" * 1000}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**answer, "usage": _USAGE})


def _event(choices: list[object], **more: object) -> bytes:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return b"data: " + json.dumps({**chunk, **more}).encode() + b"\n\n"


def _delta(content: str) -> bytes:
    return _event([{"index": 0, "delta": {"content": content}, "finish_reason": None}])


def _framed(event: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(event), event)


_CHUNK = _framed(_delta("x" * (CHUNK_BYTES - len(_delta("")))))
_STOP = _framed(_event([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
_LAST = _STOP + _framed(_event([], usage=_USAGE)) + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
_BODY = whole_answer().encode()
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class _Answering(asyncio.Protocol):
    """One connection; a request is taken to be whole when its declared length has come."""

    def __init__(self) -> None:
        self._kept = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._kept += data
        end = self._kept.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._kept, 0, end)
        if len(self._kept) < end + 4 + (int(length[1]) if length else 0):
            return
        asked = _QUERY.match(self._kept)
        self._kept = b""
        if asked is None:
            self._write(_WHOLE)
        elif every_ms := int(asked[2]):
            self._write(_STREAM_HEAD)
            self._drip(int(asked[1]), every_ms / 1000)
        else:
            self._write(_STREAM_HEAD + _CHUNK * int(asked[1]) + _LAST)

    def _drip(self, left: int, every_s: float) -> None:
        if left == 0:
            return self._write(_LAST)
        self._write(_CHUNK)
        self._timer = asyncio.get_running_loop().call_later(every_s, self._drip, left - 1, every_s)
        return None

    def _write(self, answer: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer)


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, sock=listener, backlog=2048)
    await server.serve_forever()


def main(port_file: Path) -> None:
    """Serve on a free port until ended, and write it to `port_file`."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port_file.write_text(str(listener.getsockname()[1]))
    uvloop.run(_serve(listener))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
