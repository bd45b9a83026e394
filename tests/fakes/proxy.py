"""What a worker's request path is tested with: snapshots, an upstream in memory, and a caller that speaks ASGI.

Everything that happens to one request is noted in one list, `Moments.seen`, in its order. A test may let the caller
leave when a certain moment is reached.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from analytics.content import Content
from analytics.pricing import Price
from analytics.record import Frame, Opened, Record
from gateway.proxy.caller import WATCH, Connection, Header
from gateway.proxy.endpoint import Inference
from gateway.proxy.endpoints import endpoint_of
from gateway.proxy.entry import Entry
from gateway.proxy.queueing import Throttle
from gateway.proxy.snapshot import Decisions, Holder, View
from gateway.proxy.upstream import Call, Fault
from gateway.settings.schema import Application, Model, Upstream
from gateway.settings.secrets import Derived
from gateway.settings.snapshot import Snapshot, SplitEntry
from rollout.flag import Flag
from rollout.keys import Key, Role, compose, fingerprint

SECRETS = Derived(salt=b"s" * 32, pepper=b"p" * 32, user_hash=b"u" * 32, snapshot=b"n" * 32)
BASE, CANDIDATE, SALES = "gpt", "tuned", "sales"
KEY = compose("app", "0123456789ab", "c2VjcmV0")
FLAG = Flag(rollout=SALES, flag="f", base=BASE, candidate=CANDIDATE, salt="salt", percent=50.0, version=3, step=1)
UPSTREAM = Upstream(base_url="http://127.0.0.1:9/v1/")
MODELS = {
    BASE: Model(upstream="one", price=Price(input=1.0, output=2.0)),
    CANDIDATE: Model(upstream="one"),
}
FOREVER_S = 60.0


def key(
    text: str, key_id: str, role: Role = "app", application: str | None = "shop", revoked_at: int | None = None
) -> Key:
    """Return a key as the ledger keeps it."""
    kept = fingerprint(SECRETS.pepper, text)
    return Key(id=key_id, role=role, fingerprint=kept, application=application, revoked_at=revoked_at)


def snapshot(**changes: Any) -> Snapshot:
    """Return a snapshot with one rollout, `sales` (also for `gpt`), and one application, `shop`.

    Base does not answer for a candidate that fails: the upstream of most tests has one answer.
    """
    whole = Snapshot(
        epoch=1,
        version=7,
        compiled_at=1,
        price_version="p1",
        max_body_bytes=100_000,
        upstreams={"one": UPSTREAM},
        models=MODELS,
        rollouts={SALES: SplitEntry(flag=FLAG, also_for=(BASE,), fallback=False)},
        applications={"shop": Application(user_header="x-user-id")},
        keys=(key(KEY, "0123456789ab"),),
    )
    return msgspec.structs.replace(whole, **changes)


def decisions(environment: Mapping[str, str] | None = None, **changes: Any) -> Decisions:
    """Return what a worker decides by, for a snapshot with these changes."""
    return Decisions(snapshot(**changes), SECRETS, environment or {})


@dataclass(kw_only=True)
class Moments:
    """What happened, in order. `reach` notes a moment; at the moment `leave_at` the caller leaves."""

    leave_at: str | None = None
    leave: Callable[[], None] = lambda: None
    seen: list[Any] = field(default_factory=list)

    async def reach(self, moment: str) -> None:
        self.seen.append(moment)
        if moment == self.leave_at:
            self.leave()
            await asyncio.sleep(FOREVER_S)


@dataclass(kw_only=True)
class Journal:
    """A `Journal` that keeps its frames."""

    moments: Moments
    frames: list[Frame] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def next_seq(self) -> int:
        return next(self.numbers)

    def append(self, frame: Frame) -> None:
        self.frames.append(frame)
        self.moments.seen.append(
            f"closed {frame.outcome}" if isinstance(frame, Record) else frame.__struct_config__.tag
        )

    def append_content(self, content: Content) -> bool:
        self.append(content)
        return True

    @property
    def contents(self) -> list[Content]:
        return [frame for frame in self.frames if isinstance(frame, Content)]

    @property
    def opened(self) -> list[Opened]:
        return [frame for frame in self.frames if isinstance(frame, Opened)]

    @property
    def record(self) -> Record:
        """Return the request's record, of which there must be exactly one."""
        (record,) = [frame for frame in self.frames if isinstance(frame, Record)]
        return record


@dataclass(kw_only=True)
class Counts:
    """A `Tally` in memory."""

    requests: int = 0
    in_flight: int = 0
    split: int = 0
    anonymous: int = 0
    content_lost: int = 0

    def began(self) -> None:
        self.requests += 1
        self.in_flight += 1

    def assigned(self, *, anonymous: bool) -> None:
        self.split += 1
        self.anonymous += anonymous

    def ended(self) -> None:
        self.in_flight -= 1

    def lost_content(self) -> None:
        self.content_lost += 1


class ScriptedAnswer:
    """An `Answer`: each step is bytes to hand on or a `Fault` to raise; after the last, the end."""

    def __init__(
        self, moments: Moments, *steps: bytes | Fault, status: int = 200, headers: Sequence[Header] = ()
    ) -> None:
        self.status = status
        self.headers = headers
        self.closed = 0
        self._moments = moments
        self._steps = list(steps)
        self._number = 0

    async def chunk(self) -> bytes:
        self._number += 1
        await self._moments.reach(f"chunk {self._number}")
        step = self._steps.pop(0) if self._steps else b""
        if isinstance(step, Fault):
            raise step
        return step

    def close(self) -> None:
        self.closed += 1
        self._moments.seen.append("upstream closed")


class ScriptedUpstream:
    """An `Upstream` that gives one answer, or raises one fault, and keeps the calls."""

    def __init__(self, moments: Moments, answer: ScriptedAnswer | Exception) -> None:
        self.calls: list[Call] = []
        self.streamed = b""
        self._moments = moments
        self._answer = answer

    @property
    def body(self) -> bytes:
        """Return the first call's body, which went out whole."""
        body = self.calls[0].body
        assert isinstance(body, bytes)
        return body

    async def send(self, call: Call) -> ScriptedAnswer:
        self.calls.append(call)
        await self._moments.reach("send")
        if not isinstance(call.body, bytes):
            while piece := await call.body.piece():
                self.streamed += piece
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        self._moments.seen.append("all closed")


class Caller:
    """The other side of one ASGI call; its body comes in pieces, and `leave` closes its connection.

    With `is_cut` it leaves before the body's end.
    """

    def __init__(
        self,
        moments: Moments,
        *pieces: bytes,
        headers: Sequence[Header] = (),
        method: str = "POST",
        path: str = "/v1/chat/completions",
        query: bytes = b"",
        is_cut: bool = False,
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self._moments = moments
        self._inbox: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
        moments.leave = self.leave
        self._on_gone: Callable[[], None] | None = None
        for at, piece in enumerate(pieces, start=1):
            self._inbox.put_nowait({"type": "http.request", "body": piece, "more_body": is_cut or at < len(pieces)})
        if is_cut:
            self.leave()
        self.scope: Mapping[str, Any] = {
            "type": "http",
            "method": method,
            "raw_path": path.encode(),
            "query_string": query,
            "headers": list(headers),
            "extensions": {WATCH: self.watch},
        }

    def leave(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        if self._on_gone is not None:
            self._on_gone()

    def watch(self, on_gone: Callable[[], None] | None) -> None:
        self._on_gone = on_gone

    async def receive(self) -> Mapping[str, Any]:
        return await self._inbox.get()

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await self._moments.reach("start")
        elif message["more_body"]:
            if message["body"]:
                await self._moments.reach("write")
        else:
            await self._moments.reach("finish")
        self.sent.append(message)

    def connection(self) -> Connection:
        return Connection(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def error(self) -> dict[str, Any]:
        return msgspec.json.decode(self.body)["error"]

    @property
    def is_finished(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


AUTHORIZED: Header = (b"authorization", b"Bearer " + KEY.encode())
BODY = b'{"model":"sales","user":"ann","messages":[]}'
STREAMED = b'{"model":"sales","user":"ann","stream":true,"messages":[]}'
EVENTS: Header = (b"content-type", b"text/event-stream; charset=utf-8")
JSON: Header = (b"content-type", b"application/json")
DONE = b"data: [DONE]\n\n"


def delta(text: str = "x", **fields: Any) -> bytes:
    """Return one streamed event with output."""
    choice = {"index": 0, "delta": {"content": text}, **fields}
    return b"data: " + msgspec.json.encode({"id": "c1", "choices": [choice]}) + b"\n\n"


USAGE = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
WHOLE = b'{"id":"c1","choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":5000,"completion_tokens":2000}}'


@dataclass(kw_only=True)
class Request:
    """One request through the whole path, and everything that became of it."""

    moments: Moments
    journal: Journal
    tally: Counts
    upstream: ScriptedUpstream
    caller: Caller

    @property
    def record(self) -> Record:
        return self.journal.record


async def request(
    *steps: bytes | Fault,
    raised: Exception | None = None,
    body: bytes | Sequence[bytes] = BODY,
    headers: Sequence[Header] = (AUTHORIZED,),
    answer_headers: Sequence[Header] = (JSON,),
    status: int = 200,
    leave_at: str | None = None,
    view: View | None = None,
    query: bytes = b"",
    throttle: Throttle | None = None,
    path: str = "/v1/chat/completions",
    answering: type[ScriptedAnswer] = ScriptedAnswer,
    **changes: Any,
) -> Request:
    """Send one request, for a chat completion by default; `raised` is what the upstream raises instead of answering."""
    moments = Moments(leave_at=leave_at)
    journal, tally = Journal(moments=moments), Counts()
    pieces = [body] if isinstance(body, bytes) else body
    caller = Caller(moments, *pieces, headers=headers, query=query, path=path)
    answer = answering(moments, *steps, status=status, headers=answer_headers)
    upstream = ScriptedUpstream(moments, answer if raised is None else raised)
    holder = Holder(view or View(decisions=decisions(**changes), source="ledger"))
    endpoint = endpoint_of(path)
    assert endpoint is not None
    inference = Inference(holder, upstream, journal, tally, throttle or Throttle())
    await _finished(inference.answer(caller.connection(), endpoint))
    return Request(moments=moments, journal=journal, tally=tally, upstream=upstream, caller=caller)


async def _finished(answering: Awaitable[None]) -> None:
    """Run it as a server does: as a task of its own that nobody else waits in."""
    async with asyncio.timeout(FOREVER_S / 2):
        await asyncio.ensure_future(answering)


def entry_of(journal: Journal, tally: Counts) -> Entry:
    """Return a request's entry on a clock that moves 10 ms at every look."""
    ticks = itertools.count()
    return Entry(journal, tally, "chat.completions", clock=lambda: next(ticks) / 100)
