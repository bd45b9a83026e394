"""`POST /v1/chat/completions`: read, draw, wait, answer, count - each in its place."""

from __future__ import annotations

import secrets
import time
from random import Random

import msgspec

from gateway.errors import ApiError, NotFoundError
from gateway.simulate import wire
from gateway.simulate.answer import Answer, compose, written
from gateway.simulate.asgi import JSON_TYPE, CallerGoneError, Headers, Receive, Send, respond, stay
from gateway.simulate.chunks import Frame, Head, frames, whole
from gateway.simulate.config import SimulatedModel, Simulation
from gateway.simulate.draw import Fate, fate, output_length, source
from gateway.simulate.tally import Cancelled, ModelTally, Tally

_STREAM_HEADERS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class SimulatedError(ApiError):
    """An error that the configuration asked for, worded as OpenAI words it."""

    def __init__(self, status: int) -> None:
        message, self.type, code = _WORDING.get(status, _WORDING[500])
        super().__init__(message, code=code)
        self.status = status
        if status in {429, 503}:
            self.headers = ((b"retry-after", b"1"),)


_SOON_S = 0.001
"""Chunks due within the loop's clock tick are due together."""

_WORDING = {
    429: ("Simulated: rate limit reached. Please try again in 1s.", "requests", "rate_limit_exceeded"),
    500: ("Simulated: the server had an error while processing your request.", "server_error", "server_error"),
    503: ("Simulated: the engine is currently overloaded, please try again later.", "server_error", "overloaded"),
}


class _Turn(msgspec.Struct, kw_only=True):
    """One request on its way; `started` is on the monotonic clock, `tokens_sent` what a stream has given so far."""

    request: wire.ChatRequest
    model: SimulatedModel
    tally: ModelTally
    fate: Fate
    answer: Answer
    receive: Receive
    send: Send
    started: float
    tokens_sent: int = 0


class Chat:
    """Answers chat completions by one configuration."""

    def __init__(self, config: Simulation, tally: Tally) -> None:
        self._config = config
        self._tally = tally
        self._seed = secrets.randbits(62) if config.seed is None else config.seed
        self._boot = secrets.token_hex(6)
        self._answers = 0

    async def answer(self, body: bytes, receive: Receive, send: Send) -> None:
        """Answer one request whose body has been read.

        Raises:
            ApiError: the request cannot be answered, or the configuration wants it to fail.
        """
        started = time.monotonic()
        request = wire.read(body)
        model = self._config.models.get(request.model)
        if model is None:
            message = f"The model `{request.model}` does not exist or you do not have access to it."
            raise NotFoundError(message, code="model_not_found", param="model")
        tally = self._tally.models[request.model]
        rng = source(self._seed, request.model, tally.requests)
        turn = _Turn(
            request=request,
            model=model,
            tally=tally,
            fate=fate(model, rng),
            answer=self._compose(request, model, rng),
            receive=receive,
            send=send,
            started=started,
        )
        await self._counted(turn)

    def _compose(self, request: wire.ChatRequest, model: SimulatedModel, rng: Random) -> Answer:
        if request.seed is not None:
            rng = source(self._seed, request.model, request.seed)
        return compose(request, model, output_length(model, rng), rng)

    async def _counted(self, turn: _Turn) -> None:
        tally, streamed = turn.tally, bool(turn.request.stream)
        tally.requests += 1
        tally.streamed += streamed
        tally.open_requests += 1
        tally.open_streams += streamed
        try:
            await self._say(turn)
        except CallerGoneError:
            self._cancelled(turn)
        except SimulatedError as error:
            tally.failed(error.status)
            raise
        finally:
            tally.open_requests -= 1
            tally.open_streams -= streamed

    async def _say(self, turn: _Turn) -> None:
        request, model, answer = turn.request, turn.model, turn.answer
        thinking_ms = answer.usage.completion_tokens_details.reasoning_tokens * model.ms_per_token
        first_s = (turn.fate.ttft_ms + thinking_ms) * self._config.time_scale / 1000
        if turn.fate.error is not None:
            await self._until(turn, first_s)
            raise SimulatedError(turn.fate.error)
        self._answers += 1
        head = Head(id=f"chatcmpl-{self._boot}{self._answers:08x}", created=int(time.time()), model=request.model)
        if request.stream:
            await self._stream(turn, frames(head, answer, request, model.tokens_per_chunk), first_s)
        else:
            await self._plain(turn, head, first_s)

    async def _plain(self, turn: _Turn, head: Head, first_s: float) -> None:
        longest = max(written(choice) for choice in turn.answer.choices)
        await self._until(turn, first_s + self._pace_s(turn) * max(longest - 1, 0))
        turn.tally.bill(turn.answer.usage)
        body = whole(head, turn.answer, turn.request)
        await respond(turn.send, 200, [JSON_TYPE, *self._headers(turn)], body)

    async def _stream(self, turn: _Turn, events: list[Frame], first_s: float) -> None:
        """Write each chunk when its first token is due; chunks that are due together are written together."""
        pace_s = self._pace_s(turn)
        await self._until(turn, first_s)
        await turn.send(
            {"type": "http.response.start", "status": 200, "headers": [*_STREAM_HEADERS, *self._headers(turn)]}
        )
        at, last = 0, len(events)
        while at < last:
            await self._until(turn, first_s + _due(events[at], pace_s))
            elapsed = time.monotonic() - turn.started + _SOON_S
            batch = [events[at].event]
            at += 1
            while at < last and first_s + _due(events[at], pace_s) <= elapsed:
                batch.append(events[at].event)
                at += 1
            if at == last:
                turn.tally.bill(turn.answer.usage)
            await turn.send({"type": "http.response.body", "body": b"".join(batch), "more_body": at < last})
            turn.tokens_sent = events[at - 1].tokens

    def _pace_s(self, turn: _Turn) -> float:
        return turn.model.ms_per_token * self._config.time_scale / 1000

    async def _until(self, turn: _Turn, elapsed_s: float) -> None:
        await stay(turn.receive, turn.started + elapsed_s - time.monotonic())

    def _headers(self, turn: _Turn) -> Headers:
        took_ms = (time.monotonic() - turn.started) * 1000
        return ((b"openai-processing-ms", b"%d" % took_ms), (b"openai-version", b"2020-10-01"))

    def _cancelled(self, turn: _Turn) -> None:
        turn.tally.cancelled += 1
        turn.tally.cancelled_output_tokens += turn.tokens_sent
        self._tally.cancelled.append(
            Cancelled(
                model=turn.request.model,
                mark=(turn.request.metadata or {}).get(wire.MARK),
                streamed=bool(turn.request.stream),
                noticed_at=time.time_ns() // 1000,
                after_ms=(time.monotonic() - turn.started) * 1000,
                tokens_sent=turn.tokens_sent,
            )
        )


def _due(frame: Frame, pace_s: float) -> float:
    """Return when an event is due after the first token: with its first token, or with the last one before it."""
    place = frame.tokens_before if frame.tokens > frame.tokens_before else frame.tokens - 1
    return max(place, 0) * pace_s
