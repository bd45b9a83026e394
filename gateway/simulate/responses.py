"""`POST /v1/responses`, whole and streamed, the count of its input, and what it remembers by id.

A response is kept unless `store` is false, so that a later one can go on from it; the oldest are forgotten first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import BadRequestError, NotFoundError
from gateway.simulate.answer import Choice, compose, written
from gateway.simulate.reply import EVENTS_CONTENT, JSON_CONTENT, Bill, Endpoint, Lot, Reply, encode
from gateway.simulate.response_events import Item, failed, frames
from gateway.simulate.response_wire import LOGPROBS, ResponseRequest, as_chat, read
from gateway.simulate.wire import AnswerUsage

MOST_KEPT = 10_000
_SUMMARY = "The simulated model weighed nothing and decided to answer."


class _Kept(msgspec.Struct, frozen=True):
    response: dict[str, Any]
    items: list[dict[str, Any]]
    """The whole conversation up to it: every input and output."""
    inputs: list[dict[str, Any]]


class Responses:
    """Answers, and remembers what it answered."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self.endpoints = {
            "/v1/responses": Endpoint(read, self.reply),
            "/v1/responses/input_tokens": Endpoint(read, self.count),
        }

    def reply(self, request: ResponseRequest, lot: Lot) -> Reply:
        """Answer a request, after the response that it names, if any.

        Raises:
            BadRequestError: that response is not here, or the request asks for what cannot be.
        """
        before = self._before(request)
        answer = compose(as_chat(request, before), lot.model, lot.output_tokens, lot.rng, good=lot.good)
        choice, usage = answer.choices[0], answer.usage
        reasoning = usage.completion_tokens_details.reasoning_tokens
        items = _items(request, choice, lot, reasons=reasoning > 0)
        output = [item.whole for item in items]
        response = _response(request, lot, output, usage, cut=choice.finish == "length")
        if request.store is not False:
            self._keep(_Kept(response, [*before, *request.items, *output], request.items))
        return Reply(
            bill=Bill(
                input=usage.prompt_tokens,
                output=usage.completion_tokens,
                cached=usage.prompt_tokens_details.cached_tokens,
                reasoning=reasoning,
            ),
            body=b"" if request.stream else encode(response),
            frames=frames(response, items, lot.model.tokens_per_chunk) if request.stream else None,
            failure=failed(response, "server_error", "Simulated: the model failed.") if request.stream else b"",
            content_type=EVENTS_CONTENT if request.stream else JSON_CONTENT,
            thinking_tokens=reasoning,
            longest=written(choice),
        )

    def count(self, request: ResponseRequest, _lot: Lot) -> Reply:
        """Tell what the same request for a response would be billed as input; counting is free.

        Raises:
            BadRequestError: the response that it goes on from is not here, or the request asks for what cannot be.
        """
        counted = as_chat(request, self._before(request)).prompt_tokens
        return Reply(bill=Bill(), body=encode({"object": "response.input_tokens", "input_tokens": counted}))

    def get(self, name: str) -> bytes:
        """Return a kept response.

        Raises:
            NotFoundError: it is not here.
        """
        return encode(self._found(name).response)

    def inputs(self, name: str) -> bytes:
        """Return what a kept response answered, newest first.

        Raises:
            NotFoundError: it is not here.
        """
        numbered = enumerate(self._found(name).inputs)
        listed = [_listed(item, f"msg_{name.removeprefix('resp_')}i{number}") for number, item in numbered][::-1]
        first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
        return encode({"object": "list", "data": listed, "first_id": first, "last_id": last, "has_more": False})

    def delete(self, name: str) -> bytes:
        """Forget a response.

        Raises:
            NotFoundError: it is not here.
        """
        self._found(name)
        del self._kept[name]
        return encode({"id": name, "object": "response", "deleted": True})

    def _keep(self, kept: _Kept) -> None:
        self._kept[kept.response["id"]] = kept
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _found(self, name: str) -> _Kept:
        if name not in self._kept:
            message = f"Response with id '{name}' not found."
            raise NotFoundError(message, code="response_not_found")
        return self._kept[name]

    def _before(self, request: ResponseRequest) -> list[dict[str, Any]]:
        name = request.previous_response_id
        if name is None:
            return []
        if name not in self._kept:
            message = f"Previous response with id '{name}' not found."
            raise BadRequestError(message, param="previous_response_id", code="previous_response_not_found")
        return self._kept[name].items


def _items(request: ResponseRequest, choice: Choice, lot: Lot, *, reasons: bool) -> list[Item]:
    status = "incomplete" if choice.finish == "length" else "completed"
    made: list[Item] = []
    if reasons:
        told = [{"type": "summary_text", "text": _SUMMARY}] if request.reasoning and request.reasoning.summary else []
        made.append(Item(whole={"id": f"rs_{lot.id}", "type": "reasoning", "summary": told}))
    for number, call in enumerate(choice.calls):
        shown = {"type": "function_call", "id": f"fc_{lot.id}{number}", "call_id": call.id, "name": call.name}
        whole = {**shown, "arguments": "".join(call.arguments), "status": status}
        made.append(Item(whole=whole, tokens=call.arguments))
    if not choice.calls:
        logprobs = [_logprob(token) for token in choice.tokens] if LOGPROBS in (request.include or []) else []
        text = {"type": "output_text", "text": "".join(choice.tokens), "annotations": [], "logprobs": logprobs}
        message = {"id": f"msg_{lot.id}", "type": "message", "status": status, "role": "assistant", "content": [text]}
        made.append(Item(whole=message, tokens=choice.tokens))
    return made


def _logprob(token: str) -> dict[str, Any]:
    return {"token": token, "logprob": -0.1, "bytes": list(token.encode()), "top_logprobs": []}


def _response(
    request: ResponseRequest, lot: Lot, output: list[dict[str, Any]], usage: AnswerUsage, *, cut: bool
) -> dict[str, Any]:
    return {
        "id": f"resp_{lot.id}",
        "object": "response",
        "created_at": lot.created,
        "status": "incomplete" if cut else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": output,
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "reasoning": _given(request.reasoning, {"effort": None, "summary": None}),
        "service_tier": "default",
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": _given(request.text, {"format": {"type": "text"}}),
        "tool_choice": request.tool_choice or "auto",
        "tools": [{**_given(tool, {}), "strict": tool.strict is not False} for tool in request.tools or []],
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": _usage(usage),
        "user": request.user,
        "metadata": request.metadata or {},
    }


def _usage(usage: AnswerUsage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.prompt_tokens_details.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }


def _given(value: msgspec.Struct | None, otherwise: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a caller set, over the defaults."""
    said = {} if value is None else {k: v for k, v in msgspec.to_builtins(value).items() if v is not None}
    return {**otherwise, **said}


def _listed(item: dict[str, Any], name: str) -> dict[str, Any]:
    content = item.get("content")
    shown = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
    return {"id": name, "type": "message", **item, **({"content": shown} if "content" in item else {})}
