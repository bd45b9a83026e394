"""A caller's body on its way to the upstream, as it comes.

Law: nothing of it is kept, and a body that is too long or cut off raises before its last byte, so that no upstream can
take it for whole.
"""

from __future__ import annotations

from gateway.proxy.caller import Connection, too_large


class Incoming:
    """A caller's body, as a `Source`; `is_over` with its last piece.

    Raises:
        UnsupportedError, TooLargeError: as `Connection.declared_bytes`; chunks may turn out too long later.
    """

    __slots__ = ("_connection", "_left_bytes", "_limit_bytes", "is_over", "size_bytes")

    def __init__(self, connection: Connection, limit_bytes: int) -> None:
        self.size_bytes = connection.declared_bytes(limit_bytes)
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._left_bytes = limit_bytes if self.size_bytes is None else self.size_bytes
        self.is_over = self.size_bytes == 0

    async def piece(self) -> bytes:
        """See `Source`; raises `GoneError` when the caller leaves before its body is whole."""
        while not self.is_over:
            piece, more = await self._connection.piece()
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise too_large(self._limit_bytes)
            self.is_over = not more or (self.size_bytes is not None and not self._left_bytes)
            if piece:
                return piece
        return b""
