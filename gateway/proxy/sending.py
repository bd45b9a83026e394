"""A request's body on its way to a model server, while the server may answer already.

Law: no more is held than one piece and what the transport buffers; a body that does not come to its end, or that has
another length than was declared, takes its connection with it, so that no server can take it for whole.
"""

from __future__ import annotations

import asyncio

from gateway.proxy.answer import RunningAnswer
from gateway.proxy.http1 import chunk
from gateway.proxy.upstream import Clock, Source, StalledFault


class WrongLengthError(RuntimeError):
    """A source gave more or fewer bytes than it had declared."""


class Sending:
    """One body, sent by a task of its own; `is_whole` when its last byte was handed to the transport."""

    __slots__ = ("_answer", "_clock", "_is_paused", "_source", "_task", "_transport", "_waiter", "is_whole")

    def __init__(self, transport: asyncio.Transport, source: Source, answer: RunningAnswer, clock: Clock) -> None:
        self._transport = transport
        self._source = source
        self._answer = answer
        self._clock = clock
        self._is_paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.is_whole = False
        self._task = asyncio.get_running_loop().create_task(self._run(), name="send-body")

    def pause(self) -> None:
        """Wait until the server has taken some."""
        self._is_paused = True

    def go_on(self) -> None:
        """Send more."""
        self._is_paused = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def stop(self) -> None:
        """Send no more: the server has refused the request, or the connection is over."""
        if not self.is_whole:
            self._task.cancel()
            self._clock.sent()

    async def _run(self) -> None:
        try:
            await self._send_all()
        except Exception as error:  # noqa: BLE001 - a task's outermost frame: whoever reads the answer gets it
            self._answer.fail(error)
            self._transport.abort()
        else:
            self.is_whole = True
            self._clock.sent()
            self._answer.wake()

    async def _send_all(self) -> None:
        left_bytes = self._source.size_bytes
        while left_bytes != 0:
            piece = await self._source.piece()
            if left_bytes is None:
                self._transport.write(chunk(piece))
                if not piece:
                    return
            elif not 0 < len(piece) <= left_bytes:
                message = f"{left_bytes} bytes of a body are missing, and {len(piece)} came"
                raise WrongLengthError(message)
            else:
                self._transport.write(piece)
                left_bytes -= len(piece)
            if self._is_paused and left_bytes != 0:
                await self._taken()

    async def _taken(self) -> None:
        """Wait until there is room for more; a server that takes a little now and then has not stalled."""
        while self._is_paused:
            unsent_bytes = self._transport.get_write_buffer_size()
            due_at, limit = self._clock.taken()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout_at(due_at):
                    await self._waiter
            except TimeoutError:
                if limit == "total" or self._transport.get_write_buffer_size() >= unsent_bytes:
                    raise StalledFault(limit) from None
            finally:
                self._waiter = None
