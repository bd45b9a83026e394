"""Callers who ask the oracle's questions over keep-alive connections, and note what became of each.

Half of the questions are asked as streams. An answer that came whole is checked, word by word, at the moment when its
caller can know that it is whole: at the last byte, or at a stream's `[DONE]`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

from tests.fakes.oracle import DONE, answer_id, pieces, question

Fate = Literal["whole", "corrupt", "refused", "broken", "hung"]
"""`corrupt`: complete, and not what the upstream says; `refused`: another status than 200; `hung`: nothing happened."""
PATIENCE_S = 60.0
_USERS = 50
_Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(kw_only=True)
class Asked:
    """One question and what became of it. `is_ended`: after all of it the connection was still sound."""

    uid: str
    user: str
    stream: bool
    fate: Fate = "broken"
    is_ended: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Whom to ask for what: a gateway's address, an application key, a model's name."""

    url: str
    key: str
    model: str


class Callers:
    """What all callers of one run share; `asked` grows while they ask."""

    def __init__(self, target: Target, run: str) -> None:
        self.asked: list[Asked] = []
        self.over = threading.Event()
        self._target = target
        self._run = run
        self._numbers = itertools.count()

    async def keep_asking(self, draw: Random, pause: Callable[[Random], float], renewed_every: int | None) -> None:
        """Ask one question after the other over one connection, a new one when it is broken."""
        line: _Line | None = None
        for number in itertools.count(1):
            if self.over.is_set():
                break
            line = await self.ask(line, f"user-{draw.randrange(_USERS)}", stream=draw.random() < 0.5)
            if renewed_every and number % renewed_every == 0:
                line = _closed(line)
            await asyncio.sleep(pause(draw))
        _closed(line)

    async def ask(self, line: _Line | None, user: str, *, stream: bool) -> _Line | None:
        """Ask one question; return the connection if it can be used again."""
        one = Asked(uid=f"{self._run}-{next(self._numbers)}", user=user, stream=stream)
        try:
            async with asyncio.timeout(PATIENCE_S):
                target = urlsplit(self._target.url)
                line = line or await asyncio.open_connection(target.hostname, target.port)
                is_kept = await self._exchange(one, *line)
        except TimeoutError:
            one.fate, is_kept = "hung", False
        except (OSError, asyncio.IncompleteReadError) as error:
            one.why, is_kept = one.why or repr(error), False
        self.asked.append(one)
        return line if is_kept else _closed(line)

    async def _exchange(self, one: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(self._request(one))
        await writer.drain()
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        one.status = int(first.split(" ")[1])
        one.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        received = b""
        async for piece in _body(reader, one.headers):
            received += piece
            if one.stream and one.fate == "broken" and received.endswith(DONE) and one.status == 200:
                one.fate = "whole" if _streamed(received) == _wanted(one) else "corrupt"
        if one.status != 200:
            one.fate = "refused"
        elif not one.stream:
            one.fate = "whole" if _plain(received) == _wanted(one) else "corrupt"
        one.why = "" if one.fate == "whole" else received.decode(errors="replace")[-500:]
        one.is_ended = True
        return one.headers.get("connection") != "close"

    def _request(self, one: Asked) -> bytes:
        messages = [{"role": "user", "content": question(one.uid)}]
        fields = {"model": self._target.model, "user": one.user, "metadata": {"oracle": one.uid}}
        body = json.dumps({**fields, "messages": messages, **({"stream": True} if one.stream else {})}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(self._target.url).netloc}\r\n"
            f"authorization: Bearer {self._target.key}\r\ncontent-type: application/json\r\n"
            f"x-turnout-tags: oracle={one.uid}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


def _wanted(one: Asked) -> tuple[str, str]:
    return answer_id(one.uid), "".join(pieces(one.uid))


def _plain(body: bytes) -> tuple[str, str]:
    answer = json.loads(body)
    return answer["id"], answer["choices"][0]["message"]["content"]


def _streamed(body: bytes) -> tuple[str, str]:
    """Put a stream together; one chunk more than was asked for, that of the usage, is as wrong as one less."""
    lines = [line for line in body.decode().split("\n\n") if line.startswith("data: {")]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    words = [chunk["choices"][0]["delta"].get("content", "") if chunk["choices"] else "?" for chunk in chunks]
    return chunks[0]["id"], "".join(words)


def _closed(line: _Line | None) -> None:
    if line is not None:
        line[1].transport.abort()


@contextmanager
def asking(
    target: Target,
    seed: int,
    *,
    run: str = "run",
    at_once: int = 16,
    pause: Callable[[Random], float] = lambda _: 0.0,
    renewed_every: int | None = None,
) -> Iterator[list[Asked]]:
    """Keep asking while the block lasts; yields the list of what was asked. Ids begin with the seed and `run`."""
    callers = Callers(target, f"{seed:x}-{run}")
    with start_blocking_portal("asyncio") as portal:
        running = [
            portal.start_task_soon(callers.keep_asking, Random(f"{seed} {number}"), pause, renewed_every)
            for number in range(at_once)
        ]
        try:
            yield callers.asked
        finally:
            callers.over.set()
        for future in running:
            future.result()
