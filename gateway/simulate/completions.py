"""`POST /v1/completions`, OpenAI's older text endpoint, whole and streamed. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.simulate import strict
from gateway.simulate.answer import cut_at
from gateway.simulate.chunks import FINGERPRINT
from gateway.simulate.reply import (
    DONE,
    EVENTS_CONTENT,
    FIXED_INPUT,
    JSON_CONTENT,
    Asked,
    Bill,
    Endpoint,
    Frame,
    Lot,
    Received,
    Reply,
    encode,
    event,
    wanted_tokens,
)
from gateway.simulate.wire import (
    AnswerUsage,
    InputParts,
    OutputParts,
    Penalty,
    Probability,
    StreamOptions,
    Temperature,
    tokens_of,
)
from gateway.simulate.words import WRAP, answer_tokens

DEFAULT_MOST_TOKENS = 16
"""What OpenAI gives when `max_tokens` is not set."""
_Token = Annotated[int, Meta(ge=0)]


class CompletionRequest(Asked, kw_only=True):
    """The body of a completion request; a prompt is text, tokens, or a list of either."""

    prompt: str | list[str | _Token | list[_Token]] = "<|endoftext|>"
    suffix: str | None = None
    echo: bool | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int, Meta(ge=1, le=20)] | None = None
    stop: str | list[str] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    temperature: Temperature | None = None
    top_p: Probability | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    stream_options: StreamOptions | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    tokens: list[str]
    finish: Literal["stop", "length"]


_decoder = msgspec.json.Decoder(CompletionRequest)


def prompts(request: CompletionRequest) -> list[str | list[int]]:
    """Return the prompts, each as text or tokens.

    Raises:
        BadRequestError: there is none, or texts and tokens are mixed.
    """
    given = request.prompt
    if isinstance(given, str):
        return [given]
    numbers = [one for one in given if isinstance(one, int)]
    if numbers and len(numbers) == len(given):
        return [numbers]
    listed = [one for one in given if not isinstance(one, int)]
    if not listed or numbers:
        message = "Invalid type for 'prompt': expected a string, or a list of strings, of tokens or of lists of tokens."
        raise BadRequestError(message, param="prompt")
    return listed


def read(received: Received) -> CompletionRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong; `param` names it.
    """
    request = strict.decode(received.body, _decoder, "completion")
    prompts(request)
    if request.best_of is not None and request.best_of < (request.n or 1):
        message = "You requested that the server return more choices than it will generate (best_of must be >= n)."
        raise BadRequestError(message, param="best_of")
    if request.stream_options is not None and not request.stream:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise BadRequestError(message, param="stream_options")
    return request


def reply(request: CompletionRequest, lot: Lot) -> Reply:
    """Complete every prompt `n` times; tokens are billed for each."""
    each = prompts(request)
    choices = [_choice(request, prompt, lot) for prompt in each for _ in range(request.n or 1)]
    usage = _usage(request, each, choices)
    head = {"object": "text_completion", "created": lot.created, "model": request.model}
    shared = {"id": f"cmpl-{lot.id}", **head, "system_fingerprint": FINGERPRINT}
    listed = [_described(number, choice, choice.finish, request) for number, choice in enumerate(choices)]
    return Reply(
        bill=Bill(input=usage.prompt_tokens, output=usage.completion_tokens),
        body=b"" if request.stream else encode({**shared, "choices": listed, "usage": usage}),
        frames=_frames(shared, choices, usage, request, lot) if request.stream else None,
        content_type=EVENTS_CONTENT if request.stream else JSON_CONTENT,
        longest=max(len(choice.tokens) for choice in choices),
    )


def _choice(request: CompletionRequest, prompt: str | list[int], lot: Lot) -> _Choice:
    wanted = wanted_tokens(request, lot.model, lot.output_tokens)
    most = DEFAULT_MOST_TOKENS if request.max_tokens is None else request.max_tokens
    tokens = answer_tokens(min(wanted, most), lot.rng.randrange(WRAP), good=lot.good)
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    stopped = cut_at(tokens, stops)
    short = wanted > most and stopped is tokens
    echoed = [prompt] if request.echo and isinstance(prompt, str) else []
    return _Choice(tokens=[*echoed, *stopped], finish="length" if short else "stop")


def _usage(request: CompletionRequest, each: list[str | list[int]], choices: list[_Choice]) -> AnswerUsage:
    fixed = request.fixed(FIXED_INPUT)
    sizes = [tokens_of(one.encode()) if isinstance(one, str) else len(one) for one in each]
    into, out = sum(sizes) if fixed is None else fixed, sum(len(choice.tokens) for choice in choices)
    return AnswerUsage(
        prompt_tokens=into,
        completion_tokens=out,
        total_tokens=into + out,
        prompt_tokens_details=InputParts(cached_tokens=0, audio_tokens=0),
        completion_tokens_details=OutputParts(reasoning_tokens=0, audio_tokens=0),
    )


def _described(number: int, choice: _Choice, finish: str | None, request: CompletionRequest) -> dict[str, Any]:
    logprobs = None if request.logprobs is None else _logprobs(choice.tokens, request.logprobs)
    return {"text": "".join(choice.tokens), "index": number, "logprobs": logprobs, "finish_reason": finish}


def _logprobs(tokens: list[str], most: int) -> dict[str, Any]:
    starts = [sum(len(token) for token in tokens[:place]) for place in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": [-0.1] * len(tokens),
        "top_logprobs": [{token: -0.1} for token in tokens] if most else None,
        "text_offset": starts,
    }


def _frames(
    shared: dict[str, Any], choices: list[_Choice], usage: AnswerUsage, request: CompletionRequest, lot: Lot
) -> list[Frame]:
    asked = bool(request.stream_options and request.stream_options.include_usage)
    more: dict[str, Any] = {"usage": None} if asked else {}
    made: list[Frame] = []
    size = lot.model.tokens_per_chunk
    for number, choice in enumerate(choices):
        spoken = len(choice.tokens)
        for at in range(0, spoken, size):
            piece = _Choice(tokens=choice.tokens[at : at + size], finish=choice.finish)
            said = {**shared, "choices": [_described(number, piece, None, request)], **more}
            made.append(Frame(event(said), at, at + len(piece.tokens)))
        end = {**shared, "choices": [{"text": "", "index": number, "logprobs": None, "finish_reason": choice.finish}]}
        made.append(Frame(event({**end, **more}), spoken, spoken))
    made.sort(key=lambda frame: frame.tokens_before)
    spoken = made[-1].tokens
    if asked:
        made.append(Frame(event({**shared, "choices": [], "usage": usage}), spoken, spoken))
    return [*made, Frame(DONE, spoken, spoken)]


COMPLETIONS = Endpoint(read, reply)
