"""Bodies that come while they are sent, for tests of whoever sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator


class Given:
    """A `Source` of these pieces; `given_bytes` tells how far it was read. It ends, raises, or waits for ever."""

    def __init__(
        self,
        pieces: Iterable[bytes],
        size_bytes: int | None = None,
        *,
        pause_s: float = 0.0,
        error: Exception | None = None,
        hangs: bool = False,
    ) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._pause_s = pause_s
        self._error = error
        self._hangs = hangs
        self.size_bytes = size_bytes
        self.given_bytes = 0
        self.was_cancelled = False

    async def piece(self) -> bytes:
        try:
            await asyncio.sleep(self._pause_s)
            if piece := next(self._pieces, b""):
                self.given_bytes += len(piece)
                return piece
            if self._hangs:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self._error is not None:
            raise self._error
        return b""


def of(body: bytes, *, chunked: bool = False, piece_bytes: int = 60_001) -> Given:
    """Return a body as a source, whole."""
    pieces = (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))
    return Given(pieces, None if chunked else len(body))
