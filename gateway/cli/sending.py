"""Send planned requests through a gateway and note how each went.

Each of the concurrent slots has a transport with one connection: no request waits for another's connection, and none is
ever cancelled, which httpx's pool does not survive (encode/httpcore#1093). A whole client, with redirects and cookies,
would cost as much again.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import httpx
import msgspec

from analytics.usage import Usage, WireUsage, reported
from gateway.cli import Abort
from gateway.cli.post import Post
from gateway.cli.target import APP_KEY_VARIABLE, Target
from gateway.simulate.results import Result
from gateway.simulate.traffic import Planned, Wording, body

_TIMEOUT_S = 700.0
"""Above the gateway's own default total timeout of 600 s: the gateway's verdict is what counts."""
_CHECK_TIMEOUT_S = 10.0
_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1)
_TIMEOUTS = {"timeout": httpx.Timeout(_TIMEOUT_S).as_dict()}
_TAIL_BYTES = 4_096
_DONE = b"data: [DONE]"
_USAGE = b'"usage":{'


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast: at most `concurrency` requests at once; `speed` compresses time, None sends without waiting."""

    speed: float | None
    concurrency: int


class _Completion(msgspec.Struct):
    """What is read of an answer that is not streamed."""

    choices: list[msgspec.Raw]
    usage: WireUsage | None = None


class _LastChunk(msgspec.Struct):
    usage: WireUsage | None = None


_completion = msgspec.json.Decoder(_Completion)
_last_chunk = msgspec.json.Decoder(_LastChunk)


def check(target: Target) -> None:
    """Ask for the models, so that a wrong address or key is one sentence and not a thousand failures.

    Raises:
        Abort: nothing answers there, or not with models.
    """
    try:
        answer = httpx.get(f"{target.url}/models", headers=target.headers, trust_env=False, timeout=_CHECK_TIMEOUT_S)
    except httpx.HTTPError as error:
        message = f"no gateway answers at {target.url}; start `turnout serve`, or name another with --url"
        raise Abort(message) from error
    if answer.status_code in {401, 403}:
        message = f"the gateway at {target.url} refuses the key; name an application key by --key or {APP_KEY_VARIABLE}"
        raise Abort(message)
    if answer.status_code != HTTPStatus.OK:
        message = f"{target.url}/models answers {answer.status_code}; name a gateway's address with --url"
        raise Abort(message)


async def send_all(
    planned: Iterator[Planned],
    wording: Wording,
    target: Target,
    pace: Pace,
    seen: Callable[[Result], None],
    *,
    post: Post | None = None,
) -> None:
    """Send everything, and then feedback that is late; `seen` is called with each result as it comes."""
    tls = ssl.create_default_context()
    started = time.monotonic()

    async def slot() -> None:
        async with httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_ONE) as transport:
            sender = Sender(transport, target, wording, post)
            for request in planned:
                due = started + request.at_s / pace.speed if pace.speed else time.monotonic()
                await asyncio.sleep(max(due - time.monotonic(), 0))
                seen(await sender.send(request, late_ms=(time.monotonic() - due) * 1000))

    async with asyncio.TaskGroup() as posting:
        if post is not None:
            post.start(posting, tls)
        async with asyncio.TaskGroup() as group:
            for number in range(pace.concurrency):
                group.create_task(slot(), name=f"replay slot {number}")
        if post is not None:
            post.last()


class Sender:
    """Sends one request after the other over its own connection."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, target: Target, wording: Wording, post: Post | None = None
    ) -> None:
        self._transport = transport
        self._url = httpx.URL(f"{target.url}/chat/completions")
        self._headers = target.headers
        self._wording = wording
        self._post = post

    async def send(self, planned: Planned, *, late_ms: float) -> Result:
        """Send one request, read its answer to the end, and let its user say something about it."""
        content = body(planned, self._wording)
        request = httpx.Request("POST", self._url, headers=self._headers, content=content, extensions=_TIMEOUTS)
        habit = self._post.habit(planned.number) if self._post is not None else None
        began = time.perf_counter()
        try:
            response = await self._transport.handle_async_request(request)
            try:
                read = await _read(response, began, keep=habit is not None)
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            return Result(user=planned.user, stream=planned.stream, failure=_word(error), late_ms=late_ms)
        latency_ms = (time.perf_counter() - began) * 1000
        said = None
        if self._post is not None and habit is not None and read.failure is None:
            request_id = response.headers.get("x-request-id", "")
            said = self._post.hear(habit, read.body, request_id, streamed=planned.stream)
        return Result(
            user=planned.user,
            stream=planned.stream,
            arm=response.headers.get("x-turnout-arm"),
            model=response.headers.get("x-turnout-model"),
            failure=read.failure,
            latency_ms=latency_ms,
            ttft_ms=read.ttft_ms,
            late_ms=late_ms,
            input_tokens=read.usage.input if read.usage else None,
            output_tokens=read.usage.output if read.usage else None,
            liked=said.liked if said is not None else None,
        )


class _Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one answer was; `body` is empty unless it was to be kept."""

    failure: str | None = None
    usage: Usage | None = None
    ttft_ms: float | None = None
    body: bytes = b""


async def _read(response: httpx.Response, began: float, *, keep: bool) -> _Reading:
    if response.status_code != HTTPStatus.OK:
        await response.aread()
        return _Reading(failure=str(response.status_code))
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return await _read_stream(response, began, keep=keep)
    whole = await response.aread()
    try:
        answer = _completion.decode(whole)
    except msgspec.MsgspecError:
        return _Reading(failure="not a completion")
    return _Reading(usage=reported(answer.usage) if answer.usage else None, body=whole if keep else b"")


async def _read_stream(response: httpx.Response, began: float, *, keep: bool) -> _Reading:
    ttft_ms: float | None = None
    tail = b""
    kept: list[bytes] = []
    async for chunk in response.aiter_raw():
        if keep:
            kept.append(chunk)
        tail = tail + chunk if ttft_ms is None else (tail + chunk)[-_TAIL_BYTES:]
        if ttft_ms is None and _speaks(tail):
            ttft_ms = (time.perf_counter() - began) * 1000
    if _DONE not in tail:
        return _Reading(failure="stream broken off", ttft_ms=ttft_ms)
    return _Reading(usage=_stream_usage(tail), ttft_ms=ttft_ms, body=b"".join(kept))


def _speaks(text: bytes) -> bool:
    """Tell whether a stream has said anything yet: its first chunk carries an empty or null content."""
    place = text.find(b'"content":"')
    while place >= 0:
        first = text[place + 11 : place + 12]
        if first and first != b'"':
            return True
        place = text.find(b'"content":"', place + 11)
    return b'"tool_calls":[' in text


def _stream_usage(tail: bytes) -> Usage | None:
    for line in reversed(tail.splitlines()):
        if line.startswith(b"data: {") and _USAGE in line:
            try:
                usage = _last_chunk.decode(line[6:]).usage
            except msgspec.MsgspecError:
                return None
            return reported(usage) if usage else None
    return None


def _word(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.ConnectError):
        return "not connected"
    return "timeout" if isinstance(error, httpx.TimeoutException) else "connection lost"
