"""One request to a model, whatever its endpoint: read, draw, wait, answer, count - each in its place."""

from __future__ import annotations

import secrets
import time
from random import Random

import msgspec

from gateway.errors import NotFoundError
from gateway.simulate.asgi import CallerGoneError, Headers, Receive, Scope, Send, respond, stay
from gateway.simulate.config import Fault, SimulatedModel, Simulation
from gateway.simulate.draw import Fate, fate, good, output_length, source
from gateway.simulate.faults import SimulatedError, halved, play
from gateway.simulate.reply import EVENTS_CONTENT, Asked, Endpoint, Frame, Lot, Received, Reply
from gateway.simulate.tally import Cancelled, ModelTally, Tally

_SOON_S = 0.001
"""Pieces due within the loop's clock tick are due together."""


class _Turn(msgspec.Struct, kw_only=True):
    """One request on its way; `started` is on the monotonic clock, `tokens_sent` what a stream has given so far."""

    request: Asked
    model: SimulatedModel
    tally: ModelTally
    fate: Fate
    reply: Reply
    scope: Scope
    receive: Receive
    send: Send
    started: float
    tokens_sent: int = 0


class Stage:
    """Lets every model answer by one configuration."""

    def __init__(self, config: Simulation, tally: Tally) -> None:
        self._config = config
        self._tally = tally
        self._seed = secrets.randbits(62) if config.seed is None else config.seed
        self._boot = secrets.token_hex(6)
        self._answers = 0

    async def answer(self, endpoint: Endpoint, received: Received, wires: tuple[Scope, Receive, Send]) -> None:
        """Answer one request whose body has been read.

        Raises:
            ApiError: the request cannot be answered, or the configuration wants it to fail.
        """
        started = time.monotonic()
        request = endpoint.read(received)
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
            reply=endpoint.reply(request, self._lot(request, model, rng)),
            scope=wires[0],
            receive=wires[1],
            send=wires[2],
            started=started,
        )
        await self._counted(turn)

    def _lot(self, request: Asked, model: SimulatedModel, rng: Random) -> Lot:
        if request.seed is not None:
            rng = source(self._seed, request.model, request.seed)
        self._answers += 1
        return Lot(
            id=f"{self._boot}{self._answers:08x}",
            created=int(time.time()),
            model=model,
            rng=rng,
            output_tokens=output_length(model, rng),
            good=good(model, rng),
        )

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
        thinking_ms = turn.reply.thinking_tokens * turn.model.ms_per_token
        first_s = (turn.fate.ttft_ms + thinking_ms) * self._config.time_scale / 1000
        if turn.fate.error is not None:
            await self._until(turn, first_s)
            raise SimulatedError(turn.fate.error, turn.model.retry_after_s)
        if turn.fate.fault is not None:
            turn.tally.suffered(turn.fate.fault)
            if turn.fate.fault != "slow":
                await self._broken(turn, turn.fate.fault, first_s)
                return
        if turn.reply.frames is None:
            await self._plain(turn, first_s)
        else:
            await self._stream(turn, turn.reply.frames, first_s)

    async def _broken(self, turn: _Turn, fault: Fault, first_s: float) -> None:
        await self._until(turn, first_s)
        broken = halved(fault, turn.reply)
        turn.tokens_sent = 0 if fault in {"stall_head", "reset_head"} else broken.tokens
        await play(fault, turn.reply, broken, self._headers(turn), (turn.scope, turn.receive, turn.send))

    async def _plain(self, turn: _Turn, first_s: float) -> None:
        await self._until(turn, first_s + self._pace_s(turn) * max(turn.reply.longest - 1, 0))
        turn.tally.pay(turn.reply.bill)
        await respond(turn.send, 200, self._headers(turn), turn.reply.body)

    async def _stream(self, turn: _Turn, events: list[Frame], first_s: float) -> None:
        """Write each piece when its first token is due; pieces that are due together are written together."""
        pace_s = self._pace_s(turn)
        await self._until(turn, first_s)
        await turn.send({"type": "http.response.start", "status": 200, "headers": self._headers(turn)})
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
                turn.tally.pay(turn.reply.bill)
            await turn.send({"type": "http.response.body", "body": b"".join(batch), "more_body": at < last})
            turn.tokens_sent = events[at - 1].tokens

    def _pace_s(self, turn: _Turn) -> float:
        slower = turn.model.slow_factor if turn.fate.fault == "slow" else 1
        return turn.model.ms_per_token * slower * self._config.time_scale / 1000

    async def _until(self, turn: _Turn, elapsed_s: float) -> None:
        await stay(turn.receive, turn.started + elapsed_s - time.monotonic())

    def _headers(self, turn: _Turn) -> Headers:
        took_ms = (time.monotonic() - turn.started) * 1000
        told = [
            (b"content-type", turn.reply.content_type),
            (b"openai-processing-ms", b"%d" % took_ms),
            (b"openai-version", b"2020-10-01"),
        ]
        return [*told, (b"cache-control", b"no-cache")] if turn.reply.content_type == EVENTS_CONTENT else told

    def _cancelled(self, turn: _Turn) -> None:
        turn.tally.cancelled += 1
        turn.tally.cancelled_output_tokens += turn.tokens_sent
        self._tally.cancelled.append(
            Cancelled(
                model=turn.request.model,
                mark=turn.request.mark,
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
