"""`POST /v1/chat/completions`: read a request, reply to it. Pure."""

from __future__ import annotations

from gateway.simulate.answer import compose, written
from gateway.simulate.chunks import Head, frames, whole
from gateway.simulate.reply import EVENTS_CONTENT, JSON_CONTENT, Bill, Endpoint, Lot, Reply
from gateway.simulate.wire import ChatRequest, read


def reply(request: ChatRequest, lot: Lot) -> Reply:
    """Answer a request, whole or in events.

    Raises:
        BadRequestError: a schema that cannot be met, or a tool choice that names no tool.
    """
    answer = compose(request, lot.model, lot.output_tokens, lot.rng, good=lot.good)
    head = Head(id=f"chatcmpl-{lot.id}", created=lot.created, model=request.model)
    usage = answer.usage
    reasoning = usage.completion_tokens_details.reasoning_tokens
    return Reply(
        bill=Bill(
            input=usage.prompt_tokens,
            output=usage.completion_tokens,
            cached=usage.prompt_tokens_details.cached_tokens,
            reasoning=reasoning,
        ),
        body=b"" if request.stream else whole(head, answer, request),
        frames=frames(head, answer, request, lot.model.tokens_per_chunk) if request.stream else None,
        content_type=EVENTS_CONTENT if request.stream else JSON_CONTENT,
        thinking_tokens=reasoning,
        longest=max(written(choice) for choice in answer.choices),
    )


CHAT = Endpoint(read, reply)
