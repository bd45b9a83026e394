"""What a model says it consumed. Pure: reads OpenAI's `usage` object, invents nothing."""

from __future__ import annotations

import msgspec

_MOST_TOKENS = 2**31 - 1
"""A count beyond an INTEGER column is nonsense, and no record may be lost to it."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of one answer; every count is >= 0, and parts never exceed their whole.

    `cached` and `input_audio` are parts of `input`; `reasoning` and `output_audio` are parts of `output`.
    Source: the `usage` object of OpenAI's chat completions (`prompt_tokens`, ...) and responses (`input_tokens`, ...).
    """

    input: int | None
    output: int | None
    cached: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0


class _InputParts(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None


class _OutputParts(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """OpenAI's `usage` in both spellings, as it stands on the wire."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InputParts | None = None
    completion_tokens_details: _OutputParts | None = None
    input_tokens_details: _InputParts | None = None
    output_tokens_details: _OutputParts | None = None


def reported(wire: WireUsage) -> Usage | None:
    """Return the counts that the upstream reported, or None when there is no input count, or none to be believed."""
    total_in = wire.prompt_tokens if wire.prompt_tokens is not None else wire.input_tokens
    total_out = wire.completion_tokens if wire.completion_tokens is not None else wire.output_tokens
    if total_in is None or not 0 <= total_in <= _MOST_TOKENS or not 0 <= (total_out or 0) <= _MOST_TOKENS:
        return None
    into = wire.prompt_tokens_details or wire.input_tokens_details or _InputParts()
    out = wire.completion_tokens_details or wire.output_tokens_details or _OutputParts()
    return Usage(
        input=total_in,
        output=total_out or 0,
        cached=_part(into.cached_tokens, total_in),
        input_audio=_part(into.audio_tokens, total_in),
        reasoning=_part(out.reasoning_tokens, total_out or 0),
        output_audio=_part(out.audio_tokens, total_out or 0),
    )


def _part(count: int | None, whole: int) -> int:
    return min(max(count or 0, 0), whole)
