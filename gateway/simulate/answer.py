"""Compose an answer to one request. Pure: the same request and draws give the same answer.

A token of an answer is one word of text, or four characters of JSON (a `json_schema` answer, a call's arguments).
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequestError
from gateway.simulate.config import SimulatedModel
from gateway.simulate.from_schema import UnanswerableError, make
from gateway.simulate.quoted import keys, quoted, taken_up
from gateway.simulate.reply import FIXED_OUTPUT, wanted_tokens
from gateway.simulate.wire import (
    AnswerUsage,
    ChatRequest,
    Function,
    InputParts,
    OutputParts,
    ResponseFormat,
    last_message,
)
from gateway.simulate.words import WRAP, answer_tokens

_JSON_TOKEN_CHARACTERS = 4
Finish = Literal["stop", "length", "tool_calls"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One function call; `arguments` are the tokens of its JSON."""

    id: str
    name: str
    arguments: list[str]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of n answers: text in tokens, or calls."""

    tokens: list[str]
    calls: tuple[Call, ...] = ()
    finish: Finish


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is said, and what it is billed as."""

    choices: list[Choice]
    usage: AnswerUsage


def compose(
    request: ChatRequest, model: SimulatedModel, output_tokens: int, rng: Random, *, good: bool = True
) -> Answer:
    """Answer a request in about `output_tokens` tokens per choice, reasoning included; `good` or as a guess.

    Raises:
        BadRequestError: a schema that cannot be met, or a tool choice that names no tool.
    """
    fixed = request.fixed(FIXED_OUTPUT)
    wanted = wanted_tokens(request, model, output_tokens)
    most = request.most_tokens
    billed = wanted if most is None else min(wanted, most)
    reasoning = min(model.reasoning_tokens, billed)
    visible = billed - reasoning
    drawn = [answer_tokens(visible, rng.randrange(WRAP), good=good) for _ in range(request.n or 1)]
    choices = [_choice(request, tokens, short=billed < wanted, rng=rng) for tokens in drawn]
    total = sum(written(choice) + reasoning for choice in choices)
    count = total if fixed is None else billed * len(choices)
    return Answer(choices=choices, usage=_usage(request, model, count, reasoning * len(choices)))


def written(choice: Choice) -> int:
    """Return a choice's visible tokens."""
    return len(choice.tokens) + sum(len(call.arguments) for call in choice.calls)


def _usage(request: ChatRequest, model: SimulatedModel, output: int, reasoning: int) -> AnswerUsage:
    prompt = request.prompt_tokens
    return AnswerUsage(
        prompt_tokens=prompt,
        completion_tokens=output,
        total_tokens=prompt + output,
        prompt_tokens_details=InputParts(
            cached_tokens=int(prompt * model.cached_share), audio_tokens=min(model.input_audio_tokens, prompt)
        ),
        completion_tokens_details=OutputParts(
            reasoning_tokens=reasoning, audio_tokens=min(model.output_audio_tokens, output - reasoning)
        ),
    )


def _choice(request: ChatRequest, tokens: list[str], *, short: bool, rng: Random) -> Choice:
    if request.tools and (called := _called(request)):
        return _calls(request, called, rng)
    form = request.response_format
    if form is not None and form.type == "json_schema":
        return _cut(_json_tokens(_by_schema(form, rng)), request)
    if form is not None and form.type == "json_object":
        return Choice(tokens=_as_object(tokens, keys(_quotes(request))), finish="length" if short else "stop")
    if request.stop:
        stops = [request.stop] if isinstance(request.stop, str) else request.stop
        stopped = cut_at(tokens, stops)
        short = short and stopped is tokens
        tokens = stopped
    return Choice(tokens=tokens, finish="length" if short else "stop")


def _quotes(request: ChatRequest) -> list[str]:
    return quoted(last_message(request).content)


def _as_object(tokens: list[str], names: list[str]) -> list[str]:
    """Wrap text as `{"name": ...}` without adding a token; the corpus has nothing that JSON escapes."""
    if len(tokens) < max(2, len(names)):
        return ["{}"][: len(tokens)]
    size, made = len(tokens) // len(names), list(tokens)
    for place, name in enumerate(names):
        made[place * size] = f'{"," if place else "{"}"{name}":"' + made[place * size]
        end = (place + 1) * size if place + 1 < len(names) else len(tokens)
        made[end - 1] += '"'
    made[-1] += "}"
    return made


def cut_at(tokens: list[str], stops: list[str]) -> list[str]:
    """Cut before the first stop sequence; the same list when there is none."""
    whole = "".join(tokens)
    ends = [place for stop in stops if stop and (place := whole.find(stop)) >= 0]
    if not ends:
        return tokens
    left, kept = min(ends), list[str]()
    for token in tokens:
        if left <= 0:
            break
        kept.append(token[:left])
        left -= len(token)
    return kept


def _by_schema(form: ResponseFormat, rng: Random) -> Any:
    if form.json_schema is None:
        message = "response_format of type json_schema needs 'json_schema' with 'name' and 'schema'"
        raise BadRequestError(message, param="response_format")
    return _made(form.json_schema.schema, rng, "response_format")


def _made(schema: dict[str, Any], rng: Random, param: str) -> Any:
    try:
        return make(schema, rng)
    except UnanswerableError as error:
        message = f"The simulated server cannot answer by this schema: {error}"
        raise BadRequestError(message, param=param) from error


def _json_tokens(value: Any) -> list[str]:
    written = msgspec.json.encode(value).decode()
    return [written[at : at + _JSON_TOKEN_CHARACTERS] for at in range(0, len(written), _JSON_TOKEN_CHARACTERS)]


def _cut(tokens: list[str], request: ChatRequest) -> Choice:
    most = request.most_tokens
    if most is None or len(tokens) <= most:
        return Choice(tokens=tokens, finish="stop")
    return Choice(tokens=tokens[:most], finish="length")


def _calls(request: ChatRequest, called: list[Function], rng: Random) -> Choice:
    quotes = _quotes(request)
    calls = tuple(
        Call(
            id=f"call_{rng.getrandbits(96):024x}",
            name=function.name,
            arguments=_json_tokens(_arguments(function, quotes, rng)),
        )
        for function in called
    )
    most = request.most_tokens
    if most is not None and len(calls[0].arguments) > most:
        first = msgspec.structs.replace(calls[0], arguments=calls[0].arguments[:most])
        return Choice(tokens=[], calls=(first,), finish="length")
    return Choice(tokens=[], calls=calls, finish="tool_calls")


def _arguments(function: Function, quotes: list[str], rng: Random) -> Any:
    schema = {"type": "object", **(function.parameters or {})}
    return taken_up(_made(schema, rng, "tools"), schema, quotes)


def _called(request: ChatRequest) -> list[Function]:
    """Return the functions to call.

    The named one; else none after a tool's answer; else the first, or every one with `parallel_tool_calls`.
    """
    functions = [tool.function for tool in request.tools or [] if tool.function is not None]
    choice = request.tool_choice
    if isinstance(choice, dict):
        return [_named(functions, choice)]
    if choice == "none" or not functions or (choice != "required" and last_message(request).role == "tool"):
        return []
    return functions if request.parallel_tool_calls else functions[:1]


def _named(functions: list[Function], choice: dict[str, Any]) -> Function:
    wanted = choice.get("function")
    name: object = wanted.get("name") if isinstance(wanted, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - JSON of unknown shape
    for function in functions:
        if function.name == name:
            return function
    message = f"Tool choice '{name}' not found in 'tools' parameter."
    raise BadRequestError(message, param="tool_choice")
