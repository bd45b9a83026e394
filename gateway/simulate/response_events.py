"""A response as the events that the Responses API streams, numbered in order. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.simulate.reply import Frame, event


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of a response's output, finished, and the tokens that it is said in."""

    whole: dict[str, Any]
    tokens: list[str] = []


_Step = tuple[str, dict[str, Any], int]
"""An event's name, its fields, and the tokens that are said with it."""


def frames(response: dict[str, Any], items: list[Item], size: int) -> list[Frame]:
    """Return the events of a finished response whose items are said in pieces of `size` tokens."""
    begun: dict[str, Any] = {
        **response,
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
    }
    steps: list[_Step] = [
        ("response.created", {"response": begun}, 0),
        ("response.in_progress", {"response": begun}, 0),
        *(step for place, item in enumerate(items) for step in _item(item, place, size)),
        (f"response.{response['status']}", {"response": response}, 0),
    ]
    made: list[Frame] = []
    spoken = 0
    for number, (name, fields, count) in enumerate(steps):
        said = event({"type": name, "sequence_number": number, **fields}, name)
        made.append(Frame(said, spoken, spoken + count))
        spoken += count
    return made


def failed(response: dict[str, Any], code: str, message: str) -> bytes:
    """Return the event by which a stream tells at its beginning that nothing will come of it."""
    error = {"code": code, "message": message}
    told: dict[str, Any] = {
        **response,
        "status": "failed",
        "output": [],
        "usage": None,
        "incomplete_details": None,
        "error": error,
    }
    return event({"type": "response.failed", "sequence_number": 0, "response": told}, "response.failed")


def _item(item: Item, place: int, size: int) -> Iterator[_Step]:
    whole = item.whole
    where = {"output_index": place}
    inner = {"item_id": whole["id"], **where}
    if whole["type"] == "message":
        yield "response.output_item.added", {**where, "item": {**whole, "status": "in_progress", "content": []}}, 0
        yield from _text(item, inner, size)
    elif whole["type"] == "function_call":
        yield "response.output_item.added", {**where, "item": {**whole, "status": "in_progress", "arguments": ""}}, 0
        for piece in _pieces(item.tokens, size):
            yield "response.function_call_arguments.delta", {**inner, "delta": "".join(piece)}, len(piece)
        done = {**inner, "name": whole["name"], "arguments": whole["arguments"]}
        yield "response.function_call_arguments.done", done, 0
    else:
        yield "response.output_item.added", {**where, "item": {**whole, "summary": []}}, 0
        for number, part in enumerate(whole["summary"]):
            yield from _summary(part, {**inner, "summary_index": number})
    yield "response.output_item.done", {**where, "item": whole}, 0


def _text(item: Item, inner: dict[str, Any], size: int) -> Iterator[_Step]:
    part = item.whole["content"][0]
    inside = {**inner, "content_index": 0}
    yield "response.content_part.added", {**inside, "part": {**part, "text": "", "logprobs": []}}, 0
    at = 0
    for piece in _pieces(item.tokens, size):
        logprobs = part["logprobs"][at : at + len(piece)]
        at += len(piece)
        yield "response.output_text.delta", {**inside, "delta": "".join(piece), "logprobs": logprobs}, len(piece)
    yield "response.output_text.done", {**inside, "text": part["text"], "logprobs": part["logprobs"]}, 0
    yield "response.content_part.done", {**inside, "part": part}, 0


def _summary(part: dict[str, Any], inside: dict[str, Any]) -> Iterator[_Step]:
    yield "response.reasoning_summary_part.added", {**inside, "part": {**part, "text": ""}}, 0
    yield "response.reasoning_summary_text.delta", {**inside, "delta": part["text"]}, 0
    yield "response.reasoning_summary_text.done", {**inside, "text": part["text"]}, 0
    yield "response.reasoning_summary_part.done", {**inside, "part": part}, 0


def _pieces(tokens: list[str], size: int) -> Iterator[list[str]]:
    return (tokens[at : at + size] for at in range(0, len(tokens), size))
